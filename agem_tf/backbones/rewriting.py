"""Copies of networks of keras.applications, with layers replaced or inserted.

The graphs of this package are built as wanted instead; see `options`.
"""

import random
from collections.abc import Callable, Mapping
from typing import Any

import keras

from agem_tf.backbones.backbone import Backbone, copy_weights
from agem_tf.backbones.preprocessing import ChannelScaling
from agem_tf.layers import FrozenStatisticsBatchNormalization

# Gets the output of a layer; returns what later layers see instead.
Insertion = Callable[[Any], Any]


def copy_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Returns a layer with the same configuration and fresh weights."""
    return layer.__class__.from_config(layer.get_config())


def rewrite(
    backbone: Backbone,
    after: Mapping[str, Insertion] | None = None,
    replace_layer: Callable[[keras.layers.Layer], Any] = copy_layer,
) -> Backbone:
    """Returns a copy of a network with layers inserted or replaced.

    Args:
        backbone: The network.
        after: By layer name, what to insert after that layer.
        replace_layer: Gets each layer and returns an unbuilt one of the same
            name to replace it: a copy, or another with the same weights.

    Returns:
        A network with variables of its own, which have the values of
        `backbone` wherever a layer has kept its name.

    Raises:
        ValueError: `after` names a layer that the network does not have.
    """
    after = dict(after or {})
    unknown = set(after) - {step.name for step in backbone.operations}
    if unknown:
        raise ValueError(
            f"`after` must name layers of {backbone.name}. "
            f"Received: after={sorted(unknown)}"
        )

    def call(layer, *args, **kwargs):
        output = layer(*args, **kwargs)
        return after[layer.name](output) if layer.name in after else output

    clone = keras.models.clone_model(
        backbone, clone_function=replace_layer, call_function=call
    )
    copy_weights(backbone, clone)
    return Backbone(
        clone.inputs[0],
        clone.output,
        backbone.feature_layers,
        name=backbone.name,
    )


def with_scaling(backbone: Backbone, options: Mapping[str, Any]) -> Backbone:
    """Returns a copy of a network with another scaling of pixel values.

    Args:
        backbone: A network whose graph begins with a `ChannelScaling`.
        options: Arguments of the `ChannelScaling` that replaces it.

    Raises:
        ValueError: The network has no such layer, or `options` do not fit it.
    """
    if not any(isinstance(step, ChannelScaling) for step in backbone.layers):
        raise ValueError(
            f"{backbone.name} scales its images in layers of its own. "
            f"Received: preprocessing={options}"
        )

    def replace(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, ChannelScaling):
            return ChannelScaling(**options, name=layer.name)
        return copy_layer(layer)

    return rewrite(backbone, replace_layer=replace)


def with_batch_norm(backbone: Backbone, batch_norm: str) -> Backbone:
    """Returns a network with batch normalization of another kind.

    Args:
        backbone: A network with Keras' own batch normalization, or none. For
            "frozen" it is changed itself.
        batch_norm: See `BackboneOptions`.
    """

    def normalizes(layer):
        return isinstance(layer, keras.layers.BatchNormalization)

    def replace(layer: keras.layers.Layer) -> keras.layers.Layer:
        if not normalizes(layer):
            return copy_layer(layer)
        return FrozenStatisticsBatchNormalization.from_config(
            layer.get_config()
        )

    if batch_norm == "frozen":
        for layer in filter(normalizes, backbone.layers):
            layer.trainable = False
    if batch_norm != "frozen_statistics":
        return backbone
    if not any(map(normalizes, backbone.layers)):
        return backbone
    return rewrite(backbone, replace_layer=replace)


def with_dtype(backbone: Backbone, dtype: Any) -> Backbone:
    """Returns a network whose layers follow a dtype policy.

    The functions of keras.applications take no dtype. The scaling of pixel
    values stays in float32. Initial weights of layers that are added later
    stay those of a network that is not copied.

    Args:
        backbone: A network whose layers follow the global policy.
        dtype: A dtype policy or its name; None for the global one.
    """
    policy = keras.dtype_policies.get(dtype)
    if policy == keras.config.dtype_policy():
        return backbone
    serialized = keras.dtype_policies.serialize(policy)

    def replace(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, ChannelScaling):
            return copy_layer(layer)
        config = _replace_policies(layer.get_config(), serialized)
        copy = layer.__class__.from_config(config)
        copy.dtype_policy = policy  # That of a Sequential is not in its config.
        return copy

    state = random.getstate()
    try:
        return rewrite(backbone, replace_layer=replace)
    finally:
        random.setstate(state)


def _replace_policies(config: Any, policy: Mapping[str, Any]) -> Any:
    """Replaces the policy of a layer's config and of the layers within it."""
    if isinstance(config, Mapping):
        return {
            key: policy
            if key == "dtype" and isinstance(value, Mapping)
            else _replace_policies(value, policy)
            for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return type(config)(_replace_policies(x, policy) for x in config)
    return config
