"""Networks on padded photos: static shapes, and no effect of the padding.

The network shares its layers and weights with the one it is made from. Before a
layer whose windows are larger than one position, the padding is overwritten
with the values beyond the border of an unpadded photo; attention and pooling
get a mask. A descriptor therefore equals that of the unpadded photo, up to
rounding, and does not depend on the canvas.
"""

from typing import Any

import keras
import numpy as np
from keras import layers, tree

from agem_tf.layers import (
    CBAM,
    MAC,
    AttentivePooling,
    CroW,
    DownsamplingAttention,
    GeM,
    GlobalPooling,
    LocalBranch,
    PaddingMask,
    PyramidAttention,
    Regional,
    SPoC,
    ZeroOutside,
)
from agem_tf.ops.pooling import spoc

_WINDOWED = (
    layers.AveragePooling2D,
    layers.Conv2D,
    layers.DepthwiseConv2D,
    layers.MaxPooling2D,
    layers.SeparableConv2D,
)
_MASKED = (
    AttentivePooling,
    CBAM,
    CroW,
    DownsamplingAttention,
    GeM,
    MAC,
    PyramidAttention,
    SPoC,
)
# A model within the model is one layer here, whose own layers are hidden.
_UNKNOWN = (
    keras.Model,
    GlobalPooling,
    LocalBranch,
    Regional,
    layers.Conv2DTranspose,
    layers.Cropping2D,
    layers.GlobalMaxPooling2D,
    layers.Resizing,
    layers.UpSampling2D,
)


def padded(model: keras.Model) -> keras.Model:
    """Returns the same network for photos in the corner of a larger canvas.

    Args:
        model: An `AGeM`; its layers and variables are shared.

    Returns:
        A model from [images, extents] to descriptors: images (batch, height,
        width, 3), whose sides are multiples of `CANVAS_MULTIPLE`, and (batch,
        2) int32, the height and width of the photo in each image's top left
        corner.

    Raises:
        ValueError: The network has a layer that cannot exclude the padding.
    """
    images = keras.Input((None, None, 3), name="images")
    extents = keras.Input((2,), dtype="int32", name="extents")
    # The extents are an output too, because cloning needs every input used.
    graph = keras.Model([model.inputs[0], extents], [model.outputs[0], extents])
    inputs = [images, keras.Input((2,), dtype="int32", name="extents")]
    clone = keras.models.clone_model(
        graph,
        input_tensors=inputs,
        clone_function=lambda layer: layer,
        call_function=_PaddedCall(*inputs),
    )
    return keras.Model(inputs, clone.outputs[0], name=f"padded_{model.name}")


class _PaddedCall:
    """Calls layer after layer, with the size of the photos in each map.

    Args:
        images: Symbolic input of the network.
        extents: (batch, 2), height and width of the photos in `images`.
    """

    def __init__(self, images: Any, extents: Any):
        self._extents = {id(images): extents}
        # Maps that a layer has padded; the next layer needs them as they are.
        self._bordered: set[int] = set()

    def __call__(self, layer, *args, **kwargs):
        known = (self._extents.get(id(each)) for each in tree.flatten(args))
        extents = next((each for each in known if each is not None), None)
        if extents is None:
            return layer(*args, **kwargs)
        _check_supported(layer)
        features = args[0]
        if isinstance(layer, layers.GlobalAveragePooling2D):
            means = spoc(features, PaddingMask()(features, extents))
            return means[:, None, None, :] if layer.keepdims else means
        looks_around = isinstance(layer, layers.ZeroPadding2D) or (
            isinstance(layer, _WINDOWED) and max(_window(layer)) > 1
        )
        if isinstance(layer, _MASKED):
            kwargs["valid"] = PaddingMask()(features, extents)
        elif looks_around and id(features) not in self._bordered:
            features = _overwrite_padding(layer, features, extents)
        output = layer(features, *args[1:], **kwargs)
        if len(output.shape) < 4:
            return output
        extents = _next_extents(layer, extents)
        if isinstance(layer, layers.MaxPooling2D):
            # Infinities in the padding would make gradients NaN.
            output = ZeroOutside(dtype=layer.dtype_policy)(output, extents)
        if isinstance(layer, layers.ZeroPadding2D):
            self._bordered.add(id(output))
        self._extents[id(output)] = extents
        return output


def _check_supported(layer: Any) -> None:
    averages = isinstance(layer, layers.AveragePooling2D)
    unknown = isinstance(layer, _UNKNOWN) and not isinstance(layer, _MASKED)
    coarse = isinstance(layer, _WINDOWED) and layer.padding == "same"
    if (
        unknown
        or (averages and layer.padding == "same")
        or (coarse and max(layer.strides) > 2)
    ):
        raise ValueError(
            f"Layer {layer.name} ({type(layer).__name__}) cannot exclude the "
            "padding around a photo; extract without image.buckets."
        )


def _window(layer: Any) -> np.ndarray:
    """Returns the rows and columns of the layer's window."""
    if isinstance(layer, layers.AveragePooling2D | layers.MaxPooling2D):
        return _sides(*layer.pool_size)
    return (_sides(*layer.kernel_size) - 1) * _sides(*layer.dilation_rate) + 1


def _sides(rows: int, columns: int) -> np.ndarray:
    return np.array([rows, columns], np.int32)


def _overwrite_padding(layer: Any, features: Any, extents: Any) -> Any:
    pools_maxima = isinstance(layer, layers.MaxPooling2D)
    strided = isinstance(layer, _WINDOWED) and max(layer.strides) > 1
    aligned = strided and layer.padding == "same"
    return ZeroOutside(
        value=-float("inf") if pools_maxima else 0.0,
        kernel_size=int(_window(layer)[0]) if aligned else 0,
        dtype=layer.dtype_policy,
    )(features, extents)


def _next_extents(layer: Any, extents: Any) -> Any:
    if isinstance(layer, layers.ZeroPadding2D):
        (top, bottom), (left, right) = layer.padding
        return extents + _sides(top + bottom, left + right)
    if isinstance(layer, DownsamplingAttention):
        return (extents + 1) // 2
    if not isinstance(layer, _WINDOWED):
        return extents
    strides = _sides(*layer.strides)
    if layer.padding == "same":
        return (extents + (strides - 1)) // strides
    return (extents - _window(layer)) // strides + 1
