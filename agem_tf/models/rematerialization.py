"""Networks that keep few activations for their gradients.

The graph is cut where a single map holds everything that later layers need, as
after a residual block. Between two cuts, the activations are computed again
when the gradient needs them, so only the maps at the cuts are kept, and the
activations of one segment at a time.

`keras.RematScope` computes single layers again and keeps their inputs, which
are the activations of a ResNet.

Reference: [Chen et al., 2016](https://arxiv.org/abs/1604.06174)
"""

import math
from collections.abc import Callable
from typing import Any

import keras


def rematerialized(model: keras.Model) -> Callable[..., Any]:
    """Returns a function of the model's inputs with the same outputs.

    Args:
        model: A functional network from images, or from images and their
            extents, to any outputs; its layers and variables are shared. No
            layer may change its variables when it is called in training.

    Returns:
        A function of (inputs, training).
    """
    images, *extents = model.inputs
    cuts = _evenly_spaced(_cuts(model))
    ends = [*cuts, model.output]
    segments = [
        keras.Model([start, *extents], end, name=f"segment_{number}")
        for number, (start, end) in enumerate(
            zip([images, *cuts], ends, strict=True)
        )
    ]

    def call(inputs: Any, training: bool = False) -> Any:
        features, *rest = inputs if extents else [inputs]
        for segment in segments[:-1]:
            features = _recomputed(segment, [features, *rest], training)
        # The last is differentiated first: its activations would be computed
        # again at once.
        return segments[-1]([features, *rest], training=training)

    return call


def _recomputed(segment: keras.Model, inputs: list[Any], training: bool) -> Any:
    """Calls a segment so that its gradient calls it again.

    The variables are read before it and given as tensors: TensorFlow can't
    differentiate a loop whose body computes again what reads variables.
    """
    features, *extents = inputs
    variables = segment.weights

    def run(features: Any, *tensors: Any) -> Any:
        given = [
            keras.ops.cast(each, "int32") for each in tensors[: len(extents)]
        ]
        values = tensors[len(extents) :]
        scope = keras.StatelessScope(
            state_mapping=list(zip(variables, values, strict=True))
        )
        with scope:
            return segment([features, *given], training=training)

    # TensorFlow warns of what it could not differentiate by.
    floats = [keras.ops.cast(each, "float32") for each in extents]
    values = [keras.ops.convert_to_tensor(each) for each in variables]
    return keras.remat(run)(features, *floats, *values)


def _cuts(model: keras.Model) -> list[Any]:
    """Returns the tensors through which all that follows depends on images.

    They are in the order of the graph. Tensors that depend on other inputs
    only, as masks of the padding do, are computed again by each segment.
    """
    nodes = [
        node
        for depth in sorted(model._nodes_by_depth, reverse=True)
        for node in model._nodes_by_depth[depth]
        if not node.is_input
    ]
    last_use = {id(tensor): len(nodes) for tensor in model.outputs}
    for place, node in enumerate(nodes):
        for tensor in node.input_tensors:
            last_use[id(tensor)] = max(last_use.get(id(tensor), 0), place)
    alive = {id(model.inputs[0]): model.inputs[0]}
    cuts = []
    for place, node in enumerate(nodes):
        if any(id(tensor) in alive for tensor in node.input_tensors):
            alive |= {id(tensor): tensor for tensor in node.output_tensors}
        alive = {
            key: tensor
            for key, tensor in alive.items()
            if last_use.get(key, -1) > place
        }
        if len(alive) == 1:
            cuts += [tensor for tensor in alive.values() if tensor not in cuts]
    return cuts


def _evenly_spaced(cuts: list[Any]) -> list[Any]:
    """Returns about the square root of the cuts, the best number to keep."""
    step = max(1, round(math.sqrt(len(cuts))))
    return cuts[step - 1 : -1 : step]
