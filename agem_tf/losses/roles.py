"""The roles of a training tuple's images: query, positive, negative.

They arrive as numbers, because Keras casts what a loss receives to one dtype.
"""

from keras import ops

from agem_tf.ops.precision import Tensor

QUERY = -1
POSITIVE = 1
NEGATIVE = 0


def has_role(roles: Tensor, role: int, like: Tensor) -> Tensor:
    """Returns 1 where `roles` is `role`, else 0, in the dtype of `like`."""
    return ops.cast(ops.equal(roles, role), like.dtype)


def check_tuples(roles: Tensor, descriptors: Tensor) -> None:
    """Checks that descriptors come as (tuples, images, dimension).

    Raises:
        ValueError: the static shapes are not (tuples, images) and
            (tuples, images, dimension).
    """
    if len(roles.shape) != 2 or len(descriptors.shape) != 3:
        raise ValueError(
            "`y_true` must have the shape (tuples, images) and `y_pred` "
            "(tuples, images, dimension). Received: "
            f"y_true.shape={tuple(roles.shape)}, "
            f"y_pred.shape={tuple(descriptors.shape)}"
        )
