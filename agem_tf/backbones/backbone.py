"""The backbone: a convolutional network that returns named feature maps.

Every network, ours or Keras', becomes the same thing here, so that a model can
choose a map by name ("C5"), and can put attention inside the network by
rewriting its graph instead of copying its code.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

STRIDES = {"C2": 4, "C3": 8, "C4": 16, "C5": 32}

# Gets the output of a layer and all outputs so far by layer name; returns what
# the rest of the network sees instead.
Insertion = Callable[[Any, Mapping[str, Any]], Any]


def copy_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Returns a layer with the same configuration and fresh weights."""
    return layer.__class__.from_config(layer.get_config())


class Backbone(keras.Model):
    """Functional network from images to a dictionary of feature maps.

    Args:
        images: Symbolic input of the graph, named "images".
        feature_maps: Symbolic outputs by name, of "C2", "C3", "C4", "C5".
        feature_layers: Name of the layer that gives each of these maps.
        residual_branches: Names of the layers whose output ends a residual
            branch, just before the addition. Empty if unknown.
        conv5_blocks: For a ResNet, the layers that end conv4 and the three
            blocks of conv5. Empty for other networks.
        name: Name of the network.

    Input shape:
        (batch, height, width, 3), RGB in [0, 255]; the preprocessing that the
        weights expect is part of the graph.

    Output shape:
        {"C2": (batch, height / 4, width / 4, channels), ...} up to "C5" at
        stride 32; only the maps that the network has.
    """

    def __init__(
        self,
        images: Any,
        feature_maps: Mapping[str, Any],
        feature_layers: Mapping[str, str],
        residual_branches: Sequence[str] = (),
        conv5_blocks: Sequence[str] = (),
        name: str | None = None,
    ):
        if not feature_maps or set(feature_maps) - set(STRIDES):
            raise ValueError(
                f"`feature_maps` must be named among {list(STRIDES)}. "
                f"Received: feature_maps={list(feature_maps)}"
            )
        super().__init__(inputs=images, outputs=dict(feature_maps), name=name)
        self.feature_layers = dict(feature_layers)
        self.residual_branches = tuple(residual_branches)
        self.conv5_blocks = tuple(conv5_blocks)

    @property
    def strides(self) -> dict[str, int]:
        """Pixels of the image per position of each feature map."""
        return {name: STRIDES[name] for name in self.feature_layers}

    def rewrite(
        self,
        after: Mapping[str, Insertion] | None = None,
        replace_layer: Callable[[keras.layers.Layer], Any] = copy_layer,
    ) -> "Backbone":
        """Returns a copy of this network with layers inserted or replaced.

        Args:
            after: By layer name, what to insert after that layer.
            replace_layer: Gets each layer and returns an unbuilt one of the
                same name to stand for it: a copy, or another with the same
                weights.

        Returns:
            A network of its own, with the weights of this one wherever a
            layer has kept its name. Once this one is dropped, so are its
            weights.

        Raises:
            ValueError: `after` names a layer that the network does not have.
        """
        after = dict(after or {})
        unknown = set(after) - {step.name for step in self.operations}
        if unknown:
            raise ValueError(
                f"`after` must name layers of {self.name}. "
                f"Received: after={sorted(unknown)}"
            )
        clone = keras.models.clone_model(
            self, clone_function=replace_layer, call_function=_insert(after)
        )
        _copy_weights(self, clone)
        return Backbone(
            clone.inputs[0],
            clone.output,
            self.feature_layers,
            self.residual_branches,
            self.conv5_blocks,
            name=self.name,
        )


def _insert(after: Mapping[str, Insertion]) -> Callable[..., Any]:
    """Returns the call that `clone_model` makes of every layer."""
    outputs = {}

    def call(layer, *args, **kwargs):
        output = layer(*args, **kwargs)
        if layer.name in after:
            output = after[layer.name](output, outputs)
        outputs[layer.name] = output
        return output

    return call


def _copy_weights(source: keras.Model, target: keras.Model) -> None:
    for layer in source.layers:
        copy = target.get_layer(layer.name)
        for variable, value in zip(copy.weights, layer.weights, strict=True):
            variable.assign(value)
        # Normalization computes with constants that it derives from weights.
        if isinstance(copy, keras.layers.Normalization):
            copy.finalize_state()
