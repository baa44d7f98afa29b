"""Pixels that a position of a feature map depends on, from the network.

Each layer with a window of `k` positions enlarges the field by `(k - 1) * j`
pixels, where `j` is the product of the strides before it.
"""

from typing import Any, NamedTuple

import keras
from keras import layers

_POOLINGS = (layers.AveragePooling2D, layers.MaxPooling2D)
_WINDOWED = (
    layers.Conv2D,
    layers.DepthwiseConv2D,
    layers.SeparableConv2D,
    *_POOLINGS,
)
_UNKNOWN = (
    keras.Model,
    layers.Conv2DTranspose,
    layers.Cropping2D,
    layers.Resizing,
    layers.UpSampling2D,
)


class ReceptiveField(NamedTuple):
    """Pixels that the positions of a map see, along one axis.

    Position `i` sees `size` pixels, the first of which is
    `stride * i - padding`.

    Attributes:
        size: Pixels that one position sees.
        stride: Pixels between two positions.
        padding: Pixels that the first position sees before the image.
    """

    size: int
    stride: int
    padding: int


class _Reach(NamedTuple):
    """A receptive field, and the positions of the map along the axis."""

    field: ReceptiveField
    positions: int


def receptive_field(
    network: keras.Model, side: int, axis: int = 0
) -> ReceptiveField:
    """Computes the receptive field of the output of a network.

    "same" padding with a stride depends on the parity of a map's side, so the
    padding may depend on the side of the image.

    Args:
        network: Functional network from one image to one map.
        side: Side of the image in pixels.
        axis: 0 for rows, 1 for columns.

    Raises:
        ValueError: A layer changes the size of its map in an unknown way.

    Reference:
        [Araujo et al., 2019](https://distill.pub/2019/computing-receptive-fields)
    """
    reaches = {id(network.inputs[0]): _Reach(ReceptiveField(1, 1, 0), side)}
    for step in network.operations:
        for node in step._inbound_nodes:
            # Unknown are the scores of attentions that see the whole map.
            known = [
                reaches[id(tensor)]
                for tensor in node.input_tensors
                if id(tensor) in reaches
            ]
            if known and len(node.outputs[0].shape) == 4:
                reach = _through(step, _union(known), axis)
                reaches[id(node.outputs[0])] = reach
    return reaches[id(network.outputs[0])].field


def _union(reaches: list[_Reach]) -> _Reach:
    """Joins the branches that meet in a layer."""
    fields = [reach.field for reach in reaches]
    padding = max(field.padding for field in fields)
    end = max(field.size - field.padding for field in fields)
    field = ReceptiveField(padding + end, fields[0].stride, padding)
    return _Reach(field, reaches[0].positions)


def _through(layer: Any, reach: _Reach, axis: int) -> _Reach:
    """Returns the receptive field after a layer."""
    if isinstance(layer, keras.Sequential):
        for inner in layer.layers:
            reach = _through(inner, reach, axis)
        return reach
    if isinstance(layer, _UNKNOWN):
        raise ValueError(
            f"The receptive field after layer {layer.name} "
            f"({type(layer).__name__}) is unknown."
        )
    (size, stride, padding), positions = reach
    if isinstance(layer, layers.ZeroPadding2D):
        before, after = layer.padding[axis]
        return _Reach(
            ReceptiveField(size, stride, padding + stride * before),
            positions + before + after,
        )
    if not isinstance(layer, _WINDOWED):
        return reach
    if isinstance(layer, _POOLINGS):
        window = layer.pool_size[axis]
    else:
        window = (layer.kernel_size[axis] - 1) * layer.dilation_rate[axis] + 1
    step, before = layer.strides[axis], 0
    outputs = (positions - window) // step + 1
    if layer.padding == "same":
        outputs = -(-positions // step)
        before = max((outputs - 1) * step + window - positions, 0) // 2
    field = ReceptiveField(
        size + (window - 1) * stride, stride * step, padding + before * stride
    )
    return _Reach(field, outputs)
