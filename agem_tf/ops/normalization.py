"""L2 normalization of descriptors.

A zero vector, which an image without texture can produce after a ReLU, has no
direction: it stays zero and its gradient is zero. The gradient of the formula
there, 1 / epsilon, is infinite in float16.
"""

from keras import ops

from agem_tf.ops.precision import Tensor, in_float32

# Replaces a squared norm of 0: zero divided by its root is zero.
_HUGE_SQUARE = 1e36


@in_float32
def l2_normalize(
    x: Tensor, axis: int | tuple[int, ...] = -1, epsilon: float = 1e-6
) -> Tensor:
    """Returns `x / (||x|| + epsilon)`, of the shape and dtype of `x`.

    Args:
        x: Tensor of any shape.
        axis: Axis, or axes, of the norm.
        epsilon: Added to the norm.

    Reference:
        [Radenovic et al., 2018](https://arxiv.org/abs/1711.02512)
    """
    squares = ops.sum(ops.square(x), axis=axis, keepdims=True)
    squares = ops.where(squares > 0, squares, _HUGE_SQUARE)
    return x / (ops.sqrt(squares) + epsilon)
