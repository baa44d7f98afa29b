"""Normalizations with fixed statistics are folded into convolutions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from agem_tf.extraction.folding import folded, merged
from agem_tf.models import AGeM
from agem_tf.models.canvas_padding import padded


@pytest.fixture(autouse=True)
def double_precision():
    """Float64, so that rounding hides no difference."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy(policy)


def create_model(backbone, rng, **options):
    keras.utils.set_random_seed(0)
    model = AGeM(backbone, **options)
    for variable in model.variables:
        if "moving_variance" in variable.path or "gamma" in variable.path:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif "moving_mean" in variable.path or "beta" in variable.path:
            variable.assign(rng.normal(0, 0.1, variable.shape))
    return model


def learn(network, model, inputs, weights):
    """Returns the descriptors and the gradients of all trained variables."""
    with tf.GradientTape() as tape:
        descriptors = network(inputs, training=True)
        loss = tf.reduce_sum(weights * descriptors**2)
    values = [variable.value for variable in model.trainable_variables]
    return [descriptors, *tape.gradient(loss, values)]


def check(network, model, inputs, rng):
    """Compares a network and its folded copy."""
    fold = folded(network, model.trainable_variables)
    weights = rng.normal(size=network.output_shape[-1])
    plain = learn(network, model, inputs, weights)
    quick = learn(fold, model, inputs, weights)
    for one, other in zip(plain, quick, strict=True):
        scale = np.abs(one).max() + 1e-12
        np.testing.assert_allclose(other / scale, one / scale, atol=1e-7)
    return fold


def count(network, kind):
    return sum(isinstance(layer, kind) for layer in network.layers)


@pytest.mark.parametrize(
    ("backbone", "options"),
    [
        ("resnet18_torch", {"attention": "none"}),
        ("resnet50", {"attention": "agem", "feature_map": "C5"}),
        ("efficientnet_lite0", {"feature_map": "C3", "attention": "none"}),
    ],
)
def test_folding_changes_neither_descriptors_nor_gradients(backbone, options):
    rng = np.random.default_rng(0)
    model = create_model(backbone, rng, **options)
    fold = check(model, model, rng.uniform(0, 255, (2, 64, 48, 3)), rng)
    assert not count(fold, keras.layers.BatchNormalization)
    assert fold.trainable_variables
    assert {id(v) for v in fold.variables} == {id(v) for v in model.variables}


def test_networks_on_padded_photos_are_folded():
    rng = np.random.default_rng(0)
    model = create_model("resnet18_torch", rng, attention="none")
    inputs = [
        rng.uniform(0, 255, (2, 64, 64, 3)),
        np.array([(64, 33), (50, 64)], np.int32),
    ]
    check(padded(model), model, inputs, rng)


def test_trainable_statistics_are_not_folded():
    keras.utils.set_random_seed(0)
    model = AGeM("resnet18_torch", attention="none", batch_norm="trainable")
    normalizations = count(model, keras.layers.BatchNormalization)
    assert count(folded(model, []), keras.layers.BatchNormalization) == (
        normalizations
    )


def test_frozen_normalizations_are_folded_and_stay_frozen():
    rng = np.random.default_rng(0)
    model = create_model(
        "resnet18_torch", rng, attention="none", batch_norm="frozen"
    )
    fold = check(model, model, rng.uniform(0, 255, (1, 64, 64, 3)), rng)
    assert not count(fold, keras.layers.BatchNormalization)
    assert len(fold.trainable_variables) == len(model.trainable_variables)


def test_a_normalization_trained_without_its_kernel_is_not_folded():
    model = AGeM("resnet18_torch", attention="none")
    kernels = [v for v in model.trainable_variables if "kernel" in v.path]
    others = [v for v in model.trainable_variables if "kernel" not in v.path]
    normalizations = count(model, keras.layers.BatchNormalization)
    for learned, left in ((others, normalizations), (kernels, 0), ([], 0)):
        fold = folded(model, learned)
        assert count(fold, keras.layers.BatchNormalization) == left


def test_nothing_is_folded_into_a_convolution_with_activation():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    x = keras.layers.BatchNormalization(trainable=False)(x)
    x = keras.layers.Conv2D(4, 1)(x)
    outputs = keras.layers.BatchNormalization(trainable=False)(x)
    model = keras.Model(inputs, outputs)
    fold = folded(model, [])
    assert count(fold, keras.layers.BatchNormalization) == 1
    images = np.random.default_rng(0).normal(size=(1, 8, 8, 3))
    np.testing.assert_allclose(fold(images), model(images), atol=1e-12)


def test_a_map_used_before_its_normalization_stays_available():
    inputs = keras.Input((8, 8, 3))
    convolved = keras.layers.Conv2D(4, 3)(inputs)
    normalized = keras.layers.BatchNormalization(trainable=False)(convolved)
    model = keras.Model(inputs, keras.layers.Add()([convolved, normalized]))
    images = np.random.default_rng(0).normal(size=(1, 8, 8, 3))
    np.testing.assert_allclose(
        folded(model, [])(images), model(images), atol=1e-12
    )


@pytest.mark.parametrize("layer", ["Conv2D", "DepthwiseConv2D"])
def test_biases_strides_dilation_and_missing_parameters(layer):
    create = getattr(keras.layers, layer)
    sizes = {"filters": 6} if layer == "Conv2D" else {"depth_multiplier": 2}
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, 9, 8, 3))
    for options in (
        {"strides": 2, "padding": "same"},
        {"dilation_rate": 2, "use_bias": False},
    ):
        for part in ("scale", "center"):
            inputs = keras.Input((9, 8, 3))
            x = create(**sizes, kernel_size=3, **options)(inputs)
            norm = keras.layers.BatchNormalization(
                trainable=False, **{part: False}
            )
            model = keras.Model(inputs, norm(x))
            for variable in model.variables:
                variable.assign(rng.uniform(0.5, 1.5, variable.shape))
            fold = folded(model, [])
            assert not count(fold, keras.layers.BatchNormalization)
            np.testing.assert_allclose(fold(images), model(images), atol=1e-12)


def test_half_precision_differs_by_rounding_only():
    rng = np.random.default_rng(0)
    policy = keras.DTypePolicy("mixed_bfloat16")
    inputs = keras.Input((8, 8, 3))
    convolution = keras.layers.Conv2D(4, 3, dtype=policy)
    norm = keras.layers.BatchNormalization(trainable=False, dtype=policy)
    model = keras.Model(inputs, norm(convolution(inputs)))
    norm.moving_variance.assign(rng.uniform(0.1, 2.0, 4))
    images = rng.normal(size=(1, 8, 8, 3)).astype(np.float32)
    outputs = folded(model, [])(images)
    assert outputs.dtype == tf.bfloat16
    plain = np.asarray(model(images), np.float32)
    np.testing.assert_allclose(
        np.asarray(outputs, np.float32), plain, atol=np.abs(plain).max() / 128
    )


@pytest.mark.parametrize("fold", [merged, lambda model: folded(model, [])])
def test_half_precision_rounds_a_scaled_kernel_once(fold):
    rng = np.random.default_rng(0)
    policy = keras.DTypePolicy("mixed_bfloat16")
    inputs = keras.Input((1, 1, 1))
    convolution = keras.layers.Conv2D(64, 1, use_bias=False, dtype=policy)
    norm = keras.layers.BatchNormalization(trainable=False, dtype=policy)
    model = keras.Model(inputs, norm(convolution(inputs)))
    norm.moving_variance.assign(rng.uniform(0.1, 2.0, 64))
    scale = 1 / np.sqrt(norm.moving_variance + norm.epsilon)
    # Each output is one element of the kernel.
    kernel = tf.cast(convolution.kernel * scale, tf.bfloat16)
    outputs = fold(model)(np.ones((1, 1, 1, 1), np.float32))
    np.testing.assert_array_equal(np.ravel(outputs), np.ravel(kernel))


def test_a_merged_network_has_fewer_variables():
    keras.config.set_dtype_policy("float32")
    rng = np.random.default_rng(0)
    model = create_model("resnet50", rng)
    images = rng.uniform(0, 255, (2, 40, 33, 3)).astype("float32")
    network = merged(model)
    np.testing.assert_allclose(network(images), model(images), atol=1e-5)
    assert count(network, keras.layers.BatchNormalization) <= 2
    assert len(network.variables) < len(model.variables) * 0.5
