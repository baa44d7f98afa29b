"""Networks that keep few activations for their gradients.

The graph is cut where a single map holds everything that later layers need, as
after a residual block. Between two cuts, the activations are computed again
when the gradient needs them, so only the maps at the cuts are kept, and the
activations of one segment at a time.

`keras.RematScope` computes single layers again and keeps their inputs, which
are the activations of a ResNet.

Reference: [Chen et al., 2016](https://arxiv.org/abs/1604.06174)
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras

# Side of the photos whose maps are compared in size.
_NOMINAL_SIDE = 512


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
    cuts = kept_tensors(model)
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


def kept_tensors(model: keras.Model) -> list[Any]:
    """Chooses the cuts with which the gradients need the least memory.

    While a segment is differentiated, its tensors and the cuts before it are
    in memory. Early segments have large maps, so that cuts at equal distances
    would leave most of the memory to the first.

    Returns:
        Symbolic tensors of the model, in order.
    """
    cuts = _cuts(model)
    low, high = 0, sum(cut.computed for cut in cuts)
    while low < high:
        middle = (low + high) // 2
        if _within(cuts, middle) is None:
            low = middle + 1
        else:
            high = middle
    return _within(cuts, high) or []


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


class _Cut(NamedTuple):
    """A tensor through which all that follows depends on images.

    Attributes:
        tensor: The symbolic tensor; all outputs at the end of a graph with
            several.
        size: Its numbers per photo; 0 for several outputs.
        computed: Numbers per photo of all tensors since the cut before it.
    """

    tensor: Any
    size: int
    computed: int


def _cuts(model: keras.Model) -> list[_Cut]:
    """Returns the cuts of a graph in order; the last is its end.

    Tensors that depend on other inputs only, as masks of the padding do, are
    computed again by each segment.
    """
    nodes = [
        node
        for depth in sorted(model._nodes_by_depth, reverse=True)
        for node in model._nodes_by_depth[depth]
        if not node.is_input
    ]
    sizes = _sizes(model, nodes)
    last_use = {id(tensor): len(nodes) for tensor in model.outputs}
    for place, node in enumerate(nodes):
        for tensor in node.input_tensors:
            last_use[id(tensor)] = max(last_use.get(id(tensor), 0), place)
    alive = {id(model.inputs[0]): model.inputs[0]}
    cuts, computed = [], 0
    for place, node in enumerate(nodes):
        if not any(id(tensor) in alive for tensor in node.input_tensors):
            continue
        alive |= {id(tensor): tensor for tensor in node.output_tensors}
        computed += sum(sizes[id(tensor)] for tensor in node.output_tensors)
        alive = {
            key: tensor
            for key, tensor in alive.items()
            if last_use.get(key, -1) > place
        }
        if len(alive) == 1:
            ((key, tensor),) = alive.items()
            cuts.append(_Cut(tensor, sizes[key], computed))
            computed = 0
    if computed:
        # Several outputs; no single tensor is the end.
        cuts.append(_Cut(model.outputs, 0, computed))
    return cuts


def _sizes(model: keras.Model, nodes: Sequence[Any]) -> dict[int, int]:
    """Returns the numbers in each tensor of a graph, for one photo."""
    tensors = [tensor for node in nodes for tensor in node.output_tensors]
    every = keras.Model(model.inputs, tensors)
    side = _NOMINAL_SIDE
    inputs = [keras.KerasTensor((1, side, side, 3), model.inputs[0].dtype)]
    inputs += [
        keras.KerasTensor((1, *each.shape[1:]), each.dtype)
        for each in model.inputs[1:]
    ]
    shapes = every.compute_output_spec(inputs)
    return {
        id(tensor): math.prod(each.shape)
        for tensor, each in zip(tensors, shapes, strict=True)
    }


def _within(cuts: Sequence[_Cut], limit: int) -> list[Any] | None:
    """Chooses the smallest cuts that keep every segment within a limit.

    Args:
        cuts: All cuts; the last is the end, which is not chosen.
        limit: Numbers per photo in memory at once.

    Returns:
        Their tensors; None if the limit is too low.
    """
    ends = list(itertools.accumulate(cut.computed for cut in cuts))
    # Position of a cut -> size of the cuts kept up to it, and their positions.
    best: dict[int, tuple[int, list[int]]] = {-1: (0, [])}
    for end, cut in enumerate(cuts):
        ways = [
            (kept + cut.size, [*chosen, end])
            for start, (kept, chosen) in best.items()
            if kept + ends[end] - (ends[start] if start >= 0 else 0) <= limit
        ]
        if ways:
            best[end] = min(ways)
    if len(cuts) - 1 not in best:
        return None
    return [cuts[each].tensor for each in best[len(cuts) - 1][1][:-1]]
