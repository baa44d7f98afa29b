"""Gradients of activations that are computed twice are those of the network."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from agem_tf.extraction.folding import folded
from agem_tf.models import AGeM
from agem_tf.models.canvas_padding import padded
from agem_tf.models.rematerialization import kept_tensors, rematerialized


@pytest.fixture(
    scope="module",
    params=[("resnet50_half", "agem"), ("resnet18_torch", "cbam")],
)
def model(request):
    keras.utils.set_random_seed(0)
    backbone, attention = request.param
    return AGeM(backbone, attention=attention)


def gradients(model, network, inputs):
    """Descriptors and gradients, in a loop as over the shapes of a batch."""
    variables = [each.value for each in model.trainable_variables]

    @tf.function
    def compute():
        with tf.GradientTape() as tape:
            _, sums = tf.while_loop(
                lambda number, sums: number < 2,
                lambda number, sums: (
                    number + 1,
                    sums + network(inputs, training=True),
                ),
                (0, tf.zeros((2, model.dimension))),
                parallel_iterations=1,
            )
            loss = tf.reduce_sum(sums * tf.range(float(model.dimension)))
        return sums, tape.gradient(
            loss,
            variables,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )

    return compute()


def check_equal(model, network, inputs):
    expected, wanted = gradients(model, network, inputs)
    result, found = gradients(model, rematerialized(network), inputs)
    np.testing.assert_allclose(result, expected, atol=1e-6)
    scale = max(np.linalg.norm(each) for each in wanted)
    for one, other in zip(found, wanted, strict=True):
        assert np.linalg.norm(one - other) < 1e-5 * scale


def photos(height, width):
    rng = np.random.default_rng(0)
    return tf.constant(rng.uniform(0, 255, (2, height, width, 3)), tf.float32)


def test_gradients_are_those_of_the_network(model):
    network = folded(model, model.trainable_variables)
    check_equal(model, network, photos(64, 48))


def test_padded_photos_have_the_same_gradients_too(model):
    network = folded(padded(model), model.trainable_variables)
    extents = tf.constant([[64, 40], [50, 64]])
    check_equal(model, network, [photos(64, 64), extents])


def test_most_convolutions_are_computed_again(model):
    variables = [each.value for each in model.trainable_variables]
    inputs = photos(64, 64)

    def convolutions(network):
        @tf.function
        def differentiate():
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(network(inputs, training=True)[:, 0])
            return tape.gradient(
                loss,
                variables,
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )

        graph = differentiate.get_concrete_function().graph.as_graph_def()
        functions = [graph.node, *(f.node_def for f in graph.library.function)]
        return sum(node.op == "Conv2D" for part in functions for node in part)

    network = folded(model, model.trainable_variables)
    once = convolutions(network)
    assert 1.6 * once < convolutions(rematerialized(network)) <= 2 * once


def test_large_maps_have_segments_of_their_own():
    """Maps of 4, 4, 1, 1, 1 and 1 shares.

    With the second kept, 8 shares are in memory in both segments. The first
    alone would leave 4 + 8, or 4 + 5 with the third; the third alone 9.
    """
    images = keras.Input((None, None, 3))
    maps = [images]
    for strides in (1, 1, 2, 1, 1, 1):
        convolution = keras.layers.Conv2D(2, 3, strides, padding="same")
        maps.append(convolution(maps[-1]))
    kept = kept_tensors(keras.Model(images, maps[-1]))
    assert [id(each) for each in kept] == [id(maps[2])]


def test_several_outputs_are_a_segment_too():
    """Maps of 4, 4 and twice 4 shares: 12 are in memory with the second kept.

    All 16 are without it, or with the first.
    """
    images = keras.Input((None, None, 3))
    trunk = [images]
    for _ in range(2):
        trunk.append(keras.layers.Conv2D(2, 3, padding="same")(trunk[-1]))
    heads = {
        name: keras.layers.Conv2D(2, 3, padding="same")(trunk[-1])
        for name in ("first", "second")
    }
    kept = kept_tensors(keras.Model(images, heads))
    assert [id(each) for each in kept] == [id(trunk[2])]
