"""Variables of a network that compute each of its feature maps.

Rules of the optimizer name a feature map to freeze the layers up to it, on any
backbone.
"""

from collections.abc import Iterator, Mapping

import keras
from keras import layers, tree

from agem_tf.layers import CBAM
from agem_tf.layers.attention_units import AttentionUnit

# Of them consists the expansion at the start of an inverted bottleneck.
_POINTWISE = (layers.Activation, layers.BatchNormalization, layers.ReLU)


def stage_variables(
    network: keras.Model, feature_layers: Mapping[str, str]
) -> dict[str, frozenset[str]]:
    """Returns the variables of the layers up to each feature map.

    The expansion of an inverted bottleneck, a 1x1 convolution after the sum
    that ends a stage, belongs to the next stage, although its output is the
    last map of that stride. Attention does not belong to any stage: it is new,
    unlike the layers around it.

    Args:
        network: A functional network with the backbone's layers in its graph.
        feature_layers: Name of the layer that computes each map, as in
            `Backbone`.

    Returns:
        By name, for the maps that the network computes: the paths of the
        variables.
    """
    steps = {step.name: step for step in network.operations}
    producers = {
        id(tensor): step
        for step in network.operations
        for tensor in tree.flatten(step.output)
    }
    stages = {}
    for name, last in feature_layers.items():
        if last in steps:
            end = _without_expansion(steps[last], producers)
            stages[name] = frozenset(
                variable.path
                for step in _steps_up_to(end, producers)
                if not isinstance(step, CBAM | AttentionUnit)
                for variable in getattr(step, "variables", ())
            )
    return stages


def _without_expansion(
    last: keras.Operation, producers: Mapping[int, keras.Operation]
) -> keras.Operation:
    """Returns the sum before the 1x1 convolution that gives `last`, if any."""
    step = last
    while isinstance(step, _POINTWISE) or (
        isinstance(step, layers.Conv2D) and max(step.kernel_size) == 1
    ):
        step = producers[id(step.input)]
    return step if isinstance(step, layers.Add) else last


def _steps_up_to(
    last: keras.Operation, producers: Mapping[int, keras.Operation]
) -> Iterator[keras.Operation]:
    """Yields `last` and every step that it depends on, once each."""
    waiting, seen = [last], {last.name}
    while waiting:
        step = waiting.pop()
        yield step
        for tensor in tree.flatten(step.input):
            source = producers.get(id(tensor))
            if source is not None and source.name not in seen:
                seen.add(source.name)
                waiting.append(source)
