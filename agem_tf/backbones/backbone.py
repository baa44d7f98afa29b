"""The backbone: a convolutional network that returns named feature maps.

Networks of this package and of keras.applications have the same interface, so
that a model can choose a map by name ("C5").
"""

import os
import random
from collections.abc import Callable, Mapping
from typing import Any

import keras

from agem_tf import registry
from agem_tf.backbones.options import BackboneOptions
from agem_tf.weights.keras_files import load_keras_weights

STRIDES = {"C2": 4, "C3": 8, "C4": 16, "C5": 32}


class Backbone(keras.Model):
    """Functional network from images to a dictionary of feature maps.

    Args:
        images: Symbolic input of the graph, named "images".
        feature_maps: Symbolic outputs by name, among "C2", "C3", "C4", "C5".
        feature_layers: Name of the layer that computes each of these maps.
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
        name: str | None = None,
    ):
        if not feature_maps or set(feature_maps) - set(STRIDES):
            raise ValueError(
                f"`feature_maps` must be named among {list(STRIDES)}. "
                f"Received: feature_maps={list(feature_maps)}"
            )
        super().__init__(inputs=images, outputs=dict(feature_maps), name=name)
        self.feature_layers = dict(feature_layers)

    @property
    def strides(self) -> dict[str, int]:
        """Pixels of the image per position of each feature map."""
        return {name: STRIDES[name] for name in self.feature_layers}


def create_backbone(
    name: str, weights: str | os.PathLike | None = None, **options: Any
) -> Backbone:
    """Creates a backbone by name.

    Args:
        name: One of `agem_tf.registry.names("backbone")`.
        weights: None for random weights, "imagenet", or the path of a file
            that fits the network.
        **options: The fields of `BackboneOptions`: `batch_norm`,
            `preprocessing`, `attention` and its details, `dtype`.

    Returns:
        A network from "images" (batch, height, width, 3), RGB in [0, 255], to
        feature maps by name.

    Raises:
        UserError: The weights cannot be found, read or fitted.
        ValueError: The name or an option is unknown, or the network does not
            support it.
    """
    build = registry.factory("backbone", name)
    return build(name, weights, BackboneOptions(**options))


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copies the weights of each layer to the layer of the same name.

    Args:
        source: A network.
        target: One with all layers of `source`, and possibly more.
    """
    for layer in source.layers:
        copy = target.get_layer(layer.name)
        for variable, value in zip(copy.weights, layer.weights, strict=True):
            variable.assign(value)
        # Normalization computes with constants that it derives from weights.
        if isinstance(copy, keras.layers.Normalization):
            copy.finalize_state()


def load_plain_weights(
    backbone: Backbone,
    path: str | os.PathLike,
    build_plain: Callable[[], Backbone],
) -> None:
    """Loads a weights file of Keras, which finds layers by kind and order.

    Such a file holds no attention, and the batch normalizations in it are
    Keras' own.

    Args:
        backbone: The network.
        path: A file of Keras.
        build_plain: Builds the network as the file stores it.

    Raises:
        UserError: The file is missing, damaged or of another network.
    """
    state = random.getstate()
    plain = build_plain()
    random.setstate(state)
    load_keras_weights(plain, path)
    copy_weights(plain, backbone)
