"""L2 normalization of descriptors.

A zero vector, which an untextured image does produce after a ReLU, has no
direction: it stays zero and gets no gradient. The formula's own gradient there,
1 / epsilon, is infinite in float16.
"""

from keras import ops

from agem_tf.ops.precision import Tensor, in_float32

# Stands in for a squared norm of 0: zero divided by it is zero.
_HUGE_SQUARE = 1e36


@in_float32
def l2_normalize(
    x: Tensor, axis: int | tuple[int, ...] = -1, epsilon: float = 1e-6
) -> Tensor:
    """Returns `x / (||x|| + epsilon)`, of the shape and dtype of `x`.

    Args:
        x: tensor of any shape.
        axis: the axis, or axes, over which the norm is taken.
        epsilon: added to the norm, so that a zero vector stays zero.

    Reference:
        [Radenovic et al., 2018](https://arxiv.org/abs/1711.02512)
    """
    squares = ops.sum(ops.square(x), axis=axis, keepdims=True)
    squares = ops.where(squares > 0, squares, _HUGE_SQUARE)
    return x / (ops.sqrt(squares) + epsilon)
