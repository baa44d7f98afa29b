"""Finds feature maps and residual branches in a network that we did not write.

Keras' networks name and order their layers each in its own way; strides and
additions are what they have in common.
"""

import math
from collections.abc import Iterator
from typing import Any

import keras
from keras import layers, tree

from agem_tf.backbones.backbone import STRIDES

# Large, because a network without padding loses a border of constant width.
_PROBE_SIZE = 4096


def find_feature_layers(network: keras.Model) -> dict[str, str]:
    """Returns the layer of each feature map that the network has.

    A map is the last output at its stride that all later layers depend on, so
    it is not one of several parallel branches. Padded copies do not count.

    Args:
        network: Functional model with one image input of unknown size.

    Returns:
        Names of layers for "C2" to "C5".
    """
    shapes = _output_shapes(network)
    layers_by_stride = {}
    for step in _narrow_steps(network):
        if not isinstance(step, layers.ZeroPadding2D):
            layers_by_stride[_stride(shapes.get(step.name))] = step.name
    return {
        name: layers_by_stride[stride]
        for name, stride in STRIDES.items()
        if stride in layers_by_stride
    }


def find_residual_branches(network: keras.Model) -> tuple[str, ...]:
    """Returns the layers that end a residual branch before its addition.

    Of the two inputs of an addition that all later layers depend on, the one
    with the longer way from the image is the branch. A network in which one
    of these ways is not longer has no branches that could be told apart.
    """
    depths, producers = _depths(network), {}
    for step in network.operations:
        producers[id(step.output)] = step.name
    branches = []
    for step in _narrow_steps(network):
        inputs = tree.flatten(step.input)
        if type(step).__name__ == "Add" and len(inputs) == 2:
            shortcut, branch = sorted(inputs, key=lambda t: depths[id(t)])
            if depths[id(shortcut)] == depths[id(branch)]:
                return ()
            branches.append(producers[id(branch)])
    return tuple(branches)


def _narrow_steps(network: keras.Model) -> Iterator[keras.Operation]:
    """Yields the steps past which no earlier output is used."""
    last_use = {}
    for index, step in enumerate(network.operations):
        for tensor in tree.flatten(step.input):
            last_use[id(tensor)] = index
    in_use_until = 0
    for index, step in enumerate(network.operations):
        if in_use_until <= index:
            yield step
        in_use_until = max(in_use_until, last_use.get(id(step.output), 0))


def _depths(network: keras.Model) -> dict[int, int]:
    """Returns the steps between the image and each tensor, by its id."""
    depths = {}
    for step in network.operations:
        inputs = [depths.get(id(x), 0) for x in tree.flatten(step.input)]
        depths[id(step.output)] = max(inputs, default=0) + 1
    return depths


def _output_shapes(network: keras.Model) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every feature map for one large square image."""
    outputs = {
        step.name: step.output
        for step in network.operations
        if len(step.output.shape) == 4
    }
    probe = keras.KerasTensor((1, _PROBE_SIZE, _PROBE_SIZE, 3))
    every_output = keras.Model(network.inputs[0], outputs)
    specifications = every_output.compute_output_spec(probe)
    return {name: spec.shape for name, spec in specifications.items()}


def _stride(shape: Any) -> int | None:
    if shape is None:
        return None
    return 2 ** round(math.log2(_PROBE_SIZE / shape[1]))
