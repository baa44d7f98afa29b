"""Folds batch normalizations with fixed statistics into convolutions.

Such a normalization is an affine map of each channel:
`BN(conv(x, kernel)) = conv(x, kernel * scale) + shift`. Gradients are the same,
but training neither stores nor reads the map between the two.
"""

import functools
from collections.abc import Iterable
from typing import Any

import keras
from keras import layers, ops

from agem_tf.layers import FrozenStatisticsBatchNormalization


def folded(
    model: keras.Model, learned: Iterable[keras.Variable]
) -> keras.Model:
    """Returns the same network, with normalizations folded where that saves.

    Args:
        model: The network; its layers and variables are shared.
        learned: The variables that are trained. The gradient of a folded gamma
            needs that of the kernel, so a normalization that is trained after
            a kernel that is not is left as it is.

    Returns:
        A model of the same inputs and outputs, up to rounding.
    """
    # `clone_model` takes no `call_function` for a subclass of keras.Model.
    graph = keras.Model(model.input, model.output, name=f"folded_{model.name}")
    return keras.models.clone_model(
        graph,
        clone_function=lambda layer: layer,
        call_function=functools.partial(_call, frozenset(map(id, learned))),
    )


def _call(learned: frozenset[int], layer: Any, *args: Any, **kwargs: Any):
    fixed = isinstance(layer, FrozenStatisticsBatchNormalization) or (
        isinstance(layer, layers.BatchNormalization) and not layer.trainable
    )
    if fixed:
        convolution, node, _ = args[0]._keras_history
        linear = (
            isinstance(convolution, layers.Conv2D | layers.DepthwiseConv2D)
            and convolution.activation is keras.activations.linear
        )
        if linear and (
            id(layer.gamma) not in learned or id(convolution.kernel) in learned
        ):
            inputs = convolution._inbound_nodes[node].input_tensors
            return _FoldedConvolution(convolution, layer)(*inputs)
    return layer(*args, **kwargs)


class _FoldedConvolution(layers.Layer):
    """A convolution and the batch normalization with fixed statistics after it.

    `scale = gamma / sqrt(moving_variance + epsilon)` and
    `shift = beta + (bias - moving_mean) * scale`, in float32 as in the
    normalization, whatever the dtype of the convolution.
    """

    def __init__(self, convolution, normalization):
        super().__init__(
            name=f"folded_{convolution.name}",
            dtype=convolution.dtype_policy,
            autocast=False,
        )
        self.convolution = convolution
        self.normalization = normalization
        self.built = True

    def call(self, inputs):
        scale, shift = self._scale_and_shift()
        outputs = self._convolve(ops.cast(inputs, self.compute_dtype), scale)
        shifted = ops.cast(outputs, shift.dtype) + shift
        return ops.cast(shifted, self.compute_dtype)

    def _scale_and_shift(self):
        convolution, normalization = self.convolution, self.normalization
        variance = normalization.moving_variance + normalization.epsilon
        scale = ops.rsqrt(variance)
        if normalization.scale:
            scale = scale * normalization.gamma
        shift = -normalization.moving_mean * scale
        if convolution.use_bias:
            shift = shift + convolution.bias * scale
        if normalization.center:
            shift = shift + normalization.beta
        return scale, shift

    def _convolve(self, inputs, scale):
        convolution = self.convolution
        kernel = ops.convert_to_tensor(convolution.kernel)
        if isinstance(convolution, layers.Conv2D):
            kernel = ops.cast(kernel * scale, self.compute_dtype)
            return convolution.convolution_op(inputs, kernel)
        kernel = kernel * ops.reshape(scale, kernel.shape[2:])
        return ops.depthwise_conv(
            inputs,
            ops.cast(kernel, self.compute_dtype),
            convolution.strides,
            convolution.padding,
            convolution.data_format,
            convolution.dilation_rate,
        )

    def compute_output_shape(self, input_shape):
        return self.convolution.compute_output_shape(input_shape)
