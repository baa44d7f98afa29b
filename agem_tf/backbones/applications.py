"""The networks of keras.applications as backbones.

Each gets the preprocessing of its family inside the graph, and its feature maps
are found in the graph itself.

Reference: https://keras.io/api/applications/
"""

import os
from collections.abc import Callable
from typing import Any

import keras

from agem_tf.backbones import graph_structure
from agem_tf.backbones.backbone import Backbone
from agem_tf.backbones.preprocessing import (
    CAFFE,
    TORCH,
    ChannelScaling,
    image_input,
)
from agem_tf.weights import keras_files, torchvision

_TENSORFLOW = {"mean": (127.5,) * 3, "deviation": (127.5,) * 3}
# By the start of the name, the more specific first. None: Keras' own graph
# holds the preprocessing.
_SCALINGS = {
    "convnext": None,
    "densenet": TORCH,
    "efficientnet": None,
    "inception": _TENSORFLOW,
    "mobilenetv3": None,
    "mobilenet": _TENSORFLOW,
    "resnet": _TENSORFLOW,
    "vgg16_torch": TORCH,
    "vgg": CAFFE,
    "xception": _TENSORFLOW,
}


def build(name: str, weights: str | os.PathLike | None = None) -> Backbone:
    """Builds a network of keras.applications, without its classifier.

    VGG's map before its last pooling, which retrieval uses, is "C4".

    Args:
        name: Lower-case name of the function, such as "densenet121"; or
            "vgg16_torch", the same network on the pixel values of PyTorch's.
        weights: None for random ones, "imagenet" to download Keras', or a
            file: what `save_weights` wrote, or a "notop" .h5 of Keras. For
            "vgg16_torch" see `weights.torchvision`.

    Raises:
        UserError: the weights cannot be downloaded, read or fitted.
    """
    if name.endswith("_torch"):
        backbone = _backbone(name)
        if weights is not None:
            torchvision.load_torchvision_weights(backbone, weights)
        return backbone
    backbone = _backbone(name, weights)
    if name.startswith("efficientnetb") and weights != "imagenet":
        backbone = _complete_efficientnet(backbone)
    if weights not in (None, "imagenet"):
        keras_files.load_keras_weights(backbone, weights)
    return backbone


def _backbone(name: str, weights: str | os.PathLike | None = None) -> Backbone:
    """Returns the graph, with weights only if they are "imagenet"."""
    images = image_input()
    network = _network(name, preprocess(images, name), weights)
    feature_layers = graph_structure.find_feature_layers(network)
    outputs = {step.name: step.output for step in network.operations}
    return Backbone(
        images,
        {name: outputs[layer] for name, layer in feature_layers.items()},
        feature_layers,
        graph_structure.find_residual_branches(network),
        name=name,
    )


def preprocess(images: Any, name: str) -> Any:
    """Applies what the family's own `preprocess_input` does, as a layer.

    Args:
        images: (batch, height, width, 3), RGB in [0, 255].
        name: Of the network.
    """
    family = next(start for start in _SCALINGS if name.startswith(start))
    if _SCALINGS[family] is None:
        return images
    return ChannelScaling(**_SCALINGS[family], name="preprocessing")(images)


def _network(name: str, inputs: Any, weights: Any) -> keras.Model:
    function = _function(name.removesuffix("_torch"))
    options = {"include_top": False, "input_tensor": inputs}
    if weights == "imagenet":
        return keras_files.imagenet_application(function, **options)
    return function(weights=None, **options)


def _function(name: str) -> Callable[..., keras.Model]:
    functions = {
        attribute.lower(): getattr(keras.applications, attribute)
        for attribute in dir(keras.applications)
        if callable(getattr(keras.applications, attribute))
    }
    return functions[name]


def _complete_efficientnet(backbone: Backbone) -> Backbone:
    """Adds the scaling that Keras adds only when it downloads the weights.

    Without it, weights from a file would see other values, and a model that
    was saved with downloaded weights could not be built again without them.
    """
    deviation = [value / 255 for value in TORCH["deviation"]]
    normalization = next(
        layer
        for layer in backbone.layers
        if isinstance(layer, keras.layers.Normalization)
    )
    scaling = keras.layers.Rescaling([value**-0.5 for value in deviation])
    return backbone.rewrite({normalization.name: lambda x, _: scaling(x)})
