"""The networks of keras.applications as backbones.

Each gets the preprocessing of its family inside the graph. Keras' networks name
and order their layers each in its own way; strides are what they have in
common, so feature maps are found by their strides.

Reference: https://keras.io/api/applications/
"""

import functools
import math
import os
from collections.abc import Iterator
from typing import Any

import keras
from keras import layers, tree

from agem_tf.backbones import rewriting
from agem_tf.backbones.backbone import STRIDES, Backbone
from agem_tf.backbones.options import BackboneOptions
from agem_tf.backbones.preprocessing import (
    CAFFE,
    TORCH,
    ChannelScaling,
    image_input,
)
from agem_tf.weights import keras_files, torchvision

# Large, because a network without padding loses a border of constant width.
_PROBE_SIZE = 4096
_TENSORFLOW = {"mean": (127.5,) * 3, "deviation": (127.5,) * 3}
# By the start of the name, the more specific first. None: Keras' own graph
# has the preprocessing.
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


def build_application(
    name: str,
    weights: str | os.PathLike | None = None,
    options: BackboneOptions | None = None,
) -> Backbone:
    """Builds a network of keras.applications, without its classifier.

    VGG's map before its last pooling, which retrieval uses, is "C4".

    Args:
        name: Lower-case name of the function, like "densenet121"; or
            "vgg16_torch", the same network for the pixel values of PyTorch's.
        weights: None for random ones, "imagenet" for those that Keras
            downloads, or a file: one that `save_weights` wrote, or a "notop"
            .h5 of Keras. For "vgg16_torch" see `weights.torchvision`.
        options: Batch normalization, attention, preprocessing and dtype.
            Attention is CBAM after feature maps.

    Raises:
        UserError: The weights cannot be downloaded, read or fitted.
        ValueError: The options do not fit the network.
    """
    options = options or BackboneOptions()
    downloads = weights == "imagenet" and not name.endswith("_torch")
    images = image_input()
    network = _application(name, scale_pixels(images, name), downloads)
    feature_layers = find_feature_layers(network)
    options.check_attention(name, feature_layers)
    outputs = {step.name: step.output for step in network.operations}
    feature_maps = {map_: outputs[x] for map_, x in feature_layers.items()}
    backbone = Backbone(images, feature_maps, feature_layers, name=name)
    if name.startswith("efficientnetb") and not downloads:
        backbone = _complete_efficientnet(backbone)
    if name.endswith("_torch") and weights is not None:
        torchvision.load_torchvision_weights(backbone, weights)
    elif weights is not None and not downloads:
        keras_files.load_keras_weights(backbone, weights)
    return _apply_options(backbone, options)


def _apply_options(backbone: Backbone, options: BackboneOptions) -> Backbone:
    backbone = rewriting.with_dtype(backbone, options.dtype)
    if options.preprocessing:
        backbone = rewriting.with_scaling(backbone, options.preprocessing)
    backbone = rewriting.with_batch_norm(backbone, options.batch_norm)
    if options.attention == "none":
        return backbone
    insertions = {
        backbone.feature_layers[name]: functools.partial(
            options.attend_map, name
        )
        for name in options.attention_placement
    }
    return rewriting.rewrite(backbone, insertions)


def scale_pixels(images: Any, name: str) -> Any:
    """Applies the `preprocess_input` of a family of networks, as a layer.

    Args:
        images: (batch, height, width, 3), RGB in [0, 255].
        name: Name of the network.
    """
    family = next(start for start in _SCALINGS if name.startswith(start))
    if _SCALINGS[family] is None:
        return images
    return ChannelScaling(**_SCALINGS[family], name="preprocessing")(images)


def _application(name: str, inputs: Any, downloads: bool) -> keras.Model:
    functions = {
        attribute.lower(): getattr(keras.applications, attribute)
        for attribute in dir(keras.applications)
        if callable(getattr(keras.applications, attribute))
    }
    function = functions[name.removesuffix("_torch")]
    options = {"include_top": False, "input_tensor": inputs}
    if downloads:
        return keras_files.imagenet_application(function, **options)
    return function(weights=None, **options)


def _complete_efficientnet(backbone: Backbone) -> Backbone:
    """Adds the scaling that Keras adds only when it downloads the weights.

    Without it, weights from a file would get other values, and a model that
    was saved with downloaded weights could not be rebuilt without them.
    """
    deviation = [value / 255 for value in TORCH["deviation"]]
    normalization = next(
        layer
        for layer in backbone.layers
        if isinstance(layer, keras.layers.Normalization)
    )
    scaling = keras.layers.Rescaling([value**-0.5 for value in deviation])
    return rewriting.rewrite(backbone, {normalization.name: scaling})


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
        shape = shapes.get(step.name)
        if shape is None or isinstance(step, layers.ZeroPadding2D):
            continue
        stride = 2 ** round(math.log2(_PROBE_SIZE / shape[1]))
        layers_by_stride[stride] = step.name
    return {
        name: layers_by_stride[stride]
        for name, stride in STRIDES.items()
        if stride in layers_by_stride
    }


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
