"""Masks and resizing for photos that are smaller than their canvas.

For a compiler with static shapes every photo is padded at the bottom and at the
right. Layers with a receptive field of more than one position need zeros there,
as beyond the border of an unpadded photo.
"""

from collections.abc import Sequence

from keras import ops

from agem_tf.ops.precision import Tensor


def valid_mask(extents: Tensor, height: int, width: int) -> Tensor:
    """Returns (batch, height, width) booleans, false in the padding.

    Args:
        extents: (batch, 2) integers, the rows and columns of each photo.
        height: Rows of the map.
        width: Columns of the map.
    """
    rows = ops.arange(height, dtype="int32")[None, :] < extents[:, :1]
    columns = ops.arange(width, dtype="int32")[None, :] < extents[:, 1:]
    return ops.logical_and(rows[:, :, None], columns[:, None, :])


def zero_padding(x: Tensor, valid: Tensor | None, value: float = 0.0) -> Tensor:
    """Overwrites the padding, where earlier layers have written.

    Args:
        x: (batch, height, width, channels).
        valid: Mask as from `valid_mask`; None returns `x` unchanged.
        value: Value of the padding.
    """
    if valid is None:
        return x
    return ops.where(valid[..., None], x, ops.cast(value, x.dtype))


def align_phase(
    x: Tensor, extents: Tensor, kernel_size: int, value: float = 0.0
) -> Tensor:
    """Moves odd photos to where a convolution of stride 2 would centre them.

    With "same" padding a map of even size is padded at its end only, one of odd
    size at its start too. On a canvas of even size, the windows over a photo of
    odd size are therefore off by one position, unless the photo is moved down
    or right by one.

    Args:
        x: (batch, height, width, channels), of even height and width.
        extents: (batch, 2) rows and columns of each photo.
        kernel_size: Kernel size of the convolution or pooling.
        value: Value of the padding.
    """
    for axis in (1, 2):
        extent = extents[:, axis - 1]
        offset = _padding_before(extent, kernel_size) - _padding_before(
            2 * extent, kernel_size
        )
        start = [(0, 0)] * 4
        start[axis] = (1, 0)
        moved = ops.pad(x, start, constant_values=value)
        moved = moved[:, :-1] if axis == 1 else moved[:, :, :-1]
        x = ops.where(offset[:, None, None, None] > 0, moved, x)
    return x


def resize_inside(
    images: Tensor,
    extents: Tensor,
    new_extents: Tensor,
    canvas: Sequence[int],
    factor: float | None = None,
) -> Tensor:
    """Resizes the photos of a batch, each by factors of its own.

    Bilinear, without antialiasing, with half-pixel centres; computed as two
    matrix products, which are fast on accelerators. The padding has no effect.

    Args:
        images: (batch, height, width, channels) float.
        extents: (batch, 2) integers, the rows and columns of each photo.
        new_extents: (batch, 2) integers, the same after resizing.
        canvas: Height and width of the result.
        factor: What distances between pixels are multiplied by; by default the
            quotient of the extents, which rounding makes another.
    """
    height, width = ops.shape(images)[1:3]
    rows = _interpolation(
        extents[:, 0], new_extents[:, 0], height, canvas[0], factor
    )
    columns = _interpolation(
        extents[:, 1], new_extents[:, 1], width, canvas[1], factor
    )
    return ops.einsum("bih,bjw,bhwc->bijc", rows, columns, images)


def _interpolation(
    extent: Tensor,
    new_extent: Tensor,
    size: int,
    new_size: int,
    factor: float | None,
) -> Tensor:
    """Returns the (batch, new size, size) weights along one axis."""
    extent = ops.cast(extent, "float32")[:, None]
    new_extent = ops.cast(new_extent, "float32")[:, None]
    centres = ops.arange(new_size, dtype="float32") + 0.5
    distance = extent / new_extent
    if factor is not None:
        distance = ops.full_like(extent, 1.0 / factor)
    places = centres * distance - 0.5
    places = ops.clip(places, 0.0, extent - 1.0)[:, :, None]
    distances = ops.abs(places - ops.arange(size, dtype="float32"))
    return ops.maximum(1.0 - distances, 0.0)


def _padding_before(size: Tensor, kernel_size: int) -> Tensor:
    """Returns the positions that "same" padding with stride 2 adds in front."""
    total = (-(-size // 2) - 1) * 2 + kernel_size - size
    return ops.maximum(total, 0) // 2
