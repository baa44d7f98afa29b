"""Sums of networks that several threads may run at the same time.

On a CPU, TensorFlow fuses a sum and the convolution before it. If another layer
has still to read the other summand, the fused kernel copies that summand by way
of members of the kernel: two calls at the same time get each other's numbers,
or end the process. In a residual block, the block and the sum alone read the
summand, and nothing is copied.
"""

import collections

import keras
import tensorflow as tf
from keras import layers


def with_separate_sums(model: keras.Model) -> keras.Model:
    """Returns the same network, whose sums are fused where nothing is copied.

    Args:
        model: A functional network; its layers and variables are shared.
    """
    read = [
        tensor
        for nodes in model._nodes_by_depth.values()
        for node in nodes
        for tensor in node.input_tensors
    ]
    readers = collections.Counter(
        id(tensor._keras_history.operation)
        for tensor in [*read, *model.outputs]
    )

    def call(layer, *args, **kwargs):
        if isinstance(layer, layers.Add) and any(
            readers[id(each._keras_history.operation)] > 2 for each in args[0]
        ):
            layer = _SeparateAdd(name=f"separate_{layer.name}")
        return layer(*args, **kwargs)

    return keras.models.clone_model(
        model, clone_function=lambda layer: layer, call_function=call
    )


class _SeparateAdd(layers.Add):
    """A sum that is not fused, as its summands pass through an operation."""

    def call(self, inputs):
        return super().call([tf.ensure_shape(x, x.shape) for x in inputs])
