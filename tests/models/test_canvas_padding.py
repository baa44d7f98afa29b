"""Descriptors of padded photos equal those of unpadded ones."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from agem_tf.models import AGeM
from agem_tf.models.canvas_padding import padded

# Odd and even, down to the least side; the last fills the canvas.
SIZES = np.array([(33, 47), (32, 64), (63, 37), (64, 96)], np.int32)
CANVAS = (64, 96)


def randomize(model, rng):
    """Sets biases, so that values arise in the padding, as after training."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.moving_mean.shape
            layer.moving_mean.assign(rng.normal(0, 0.1, shape))
            layer.beta.assign(rng.normal(0.1, 0.1, shape))


def batch(rng):
    """Returns photos, and their canvases, whose padding is noise."""
    photos = [rng.uniform(0, 255, (1, *size, 3)) for size in SIZES]
    canvases = rng.uniform(0, 255, (len(SIZES), *CANVAS, 3))
    for canvas, photo in zip(canvases, photos, strict=True):
        canvas[: photo.shape[1], : photo.shape[2]] = photo[0]
    as_float = [photo.astype(np.float32) for photo in photos]
    return as_float, canvases.astype(np.float32)


@pytest.mark.parametrize(
    "backbone, options",
    [
        ("efficientnet_lite0", {"pooling": "crow"}),
        ("resnet18_torch", {"attention_placement": ("blocks",)}),
        ("resnet50_half", {"attention": "agem", "pooling": "spoc"}),
        ("vgg16", {"feature_map": "C4", "attention_placement": ("C4",)}),
        ("mobilenetv3small", {"attention": "none", "pooling": "mac"}),
        ("resnet18_torch", {"pooling": "weighted_gem"}),
        ("resnet18_torch", {"pooling": "pyramid_attention"}),
        ("resnet18_torch", {"attention": "none", "pooling": "attentive"}),
    ],
)
def test_padding_does_not_matter(backbone, options):
    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    model = AGeM(backbone, **options)
    randomize(model, rng)
    photos, canvases = batch(rng)
    alone = np.concatenate([model(photo) for photo in photos])
    np.testing.assert_allclose(
        padded(model)([canvases, SIZES]), alone, atol=1e-6
    )
    assert np.abs(alone[0] - alone[1]).max() > 1e-4


def test_padding_of_photographs_does_not_matter(photos):
    model = AGeM("efficientnet_lite0", "imagenet", attention="none")
    sizes = np.array([(81, 128), (96, 77), (63, 95)], np.int32)
    # The canvas is white around the photo, which changes descriptors without a
    # mask.
    canvases = np.full((3, 128, 160, 3), 255.0, np.float32)
    alone = []
    for canvas, photo, (height, width) in zip(
        canvases, photos, sizes, strict=True
    ):
        canvas[:height, :width] = photo[:height, :width]
        alone.append(model(photo[None, :height, :width])[0])
    cosines = np.sum(alone * padded(model)([canvases, sizes]), axis=1)
    assert cosines.min() > 0.99999
    unaware = np.sum(alone * np.asarray(model(canvases)), axis=1)
    assert unaware.max() < 0.95


def test_gradients_are_those_of_unpadded_photos():
    rng = np.random.default_rng(1)
    keras.utils.set_random_seed(1)
    model = AGeM("resnet18_torch", feature_map="C2", attention="none")
    photos, canvases = batch(rng)
    variables = [variable.value for variable in model.trainable_variables]
    with tf.GradientTape() as tape:
        alone = sum(model(photo)[0, 3] for photo in photos)
    expected = tape.gradient(alone, variables)
    with tf.GradientTape() as tape:
        together = tf.reduce_sum(padded(model)([canvases, SIZES])[:, 3])
    for got, wanted in zip(
        tape.gradient(together, variables), expected, strict=True
    ):
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(got, wanted, atol=1e-4 * scale)


@pytest.mark.parametrize(
    "options, layer",
    [
        ({"pooling": "rmac"}, "pooling .RMAC"),
        ({"pooling": "regional_attention"}, "pooling .RegionalAttention"),
        ({"pooling": "scda"}, "pooling .SCDA"),
        ({"regional": True}, "pooling .Regional"),
        ({"local_dimension": 8}, "local_branch .LocalBranch"),
        ({"backbone": "convnexttiny"}, "stem .Sequential"),
        ({"backbone": "inceptionv3"}, "AveragePooling2D"),
    ],
)
def test_layers_that_cannot_exclude_padding_are_refused(options, layer):
    model = AGeM(**{"attention": "none"} | options)
    with pytest.raises(ValueError, match=layer):
        padded(model)
