"""Feature maps between their pixels: values at any points of a map.

Outside of the map is zero, as in PyTorch's `grid_sample`.
"""

from keras import ops

from agem_tf.ops.precision import Tensor

# The sharpness of the cubic kernel that PyTorch and OpenCV use.
_CUBIC = -0.75


def sample_bicubic(features: Tensor, points: Tensor) -> Tensor:
    """Returns the values of feature maps at points, by cubic convolution.

    Args:
        features: (batch, height, width, channels).
        points: (batch, points, 2), x and y in pixels of the map; the centre of
            its first pixel is (0, 0).

    Returns:
        (batch, points, channels).

    Reference:
        [Keys, 1981](https://doi.org/10.1109/TASSP.1981.1163711)
    """
    first = ops.floor(points)
    fraction = points - first
    sampled = 0.0
    for row in range(-1, 3):
        for column in range(-1, 3):
            weight = _cubic(fraction[..., 0] - column)
            weight = weight * _cubic(fraction[..., 1] - row)
            values = _values_at(
                features, first[..., 0] + column, first[..., 1] + row
            )
            sampled = sampled + weight[..., None] * values
    return sampled


def resampling_matrix(pixels: Tensor, positions: Tensor) -> Tensor:
    """Returns what resamples one axis of a map by linear interpolation.

    Args:
        pixels: (pixels,) 0, 1, 2, ... along the axis.
        positions: (positions,) where the values are wanted, in pixels.

    Returns:
        (positions, pixels); a matrix product with it resamples the axis.
    """
    distances = ops.abs(positions[:, None] - pixels[None, :])
    return ops.maximum(1.0 - distances, 0.0)


def _cubic(distance: Tensor) -> Tensor:
    t = ops.abs(distance)
    near = ((_CUBIC + 2) * t - (_CUBIC + 3)) * t * t + 1
    far = ((_CUBIC * t - 5 * _CUBIC) * t + 8 * _CUBIC) * t - 4 * _CUBIC
    return ops.where(t <= 1, near, ops.where(t < 2, far, 0.0))


def _values_at(features: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Returns the pixels (batch, points, channels) at whole x and y."""
    batch, height, width, channels = ops.shape(features)
    x, y = ops.cast(x, "int32"), ops.cast(y, "int32")
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    index = ops.where(inside, y * width + x, 0)
    pixels = ops.reshape(features, (batch, height * width, channels))
    values = ops.take_along_axis(pixels, index[..., None], axis=1)
    return values * ops.cast(inside, features.dtype)[..., None]
