"""Global poolings: one descriptor from a map of local features.

All take (batch, height, width, channels) and return (batch, dimension), compute
in float32, accept maps whose size is unknown when the graph is built, and have
finite gradients on all-zero maps. The layers of the same names document the
formulas.

The argument `valid` is a mask, (B, H, W) booleans that are false in the
padding, with at least one true position per map. None means no padding.
"""

from collections.abc import Callable, Sequence

from keras import ops

from agem_tf.ops.canvas_masks import zero_padding
from agem_tf.ops.connected_components import largest_component
from agem_tf.ops.normalization import l2_normalize
from agem_tf.ops.precision import Tensor, in_float32
from agem_tf.ops.regions import region_maxima, region_means


@in_float32
def gem(
    x: Tensor,
    p: float | Tensor,
    epsilon: float = 1e-6,
    valid: Tensor | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """Generalized mean over positions, (B, H, W, C) to (B, C).

    The map is divided by its own maximum, which does not change the mean and
    keeps every power in (0, 1], so that neither large activations nor large
    exponents overflow. A logarithm and an exponential take less than half the
    time of a power.

    Args:
        x: Local features; values below `epsilon` count as `epsilon`.
        p: Exponent, a scalar or one per channel, shape (C,).
        epsilon: Least activation, above 0.
        valid: Mask, see above.
        weights: (B, H, W, 1) float32 weights of the positions, above 0; None
            for equal ones.
    """
    # The padding gets the least activation, so that its powers stay finite.
    x = ops.maximum(zero_padding(x, valid), epsilon)
    peak = ops.stop_gradient(ops.max(x, axis=(1, 2), keepdims=True))
    powers = ops.exp(p * ops.log(x / peak))
    if weights is None:
        means = spoc(powers, valid)
    else:
        means = spoc(powers * weights, valid) / spoc(weights, valid)
    means = ops.power(means, 1 / p)
    return means * ops.squeeze(peak, (1, 2))


@in_float32
def mac(x: Tensor, valid: Tensor | None = None) -> Tensor:
    """Maximum over positions, (B, H, W, C) to (B, C)."""
    return ops.max(zero_padding(x, valid, -float("inf")), axis=(1, 2))


@in_float32
def spoc(x: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean over positions, (B, H, W, C) to (B, C)."""
    if valid is None:
        return ops.mean(x, axis=(1, 2))
    counts = ops.sum(ops.cast(valid, x.dtype), axis=(1, 2))
    sums = ops.sum(zero_padding(x, valid), axis=(1, 2))
    return sums / ops.expand_dims(counts, -1)


@in_float32
def attentive(x: Tensor, scores: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean of L2-normalized features times their scores, to (B, C).

    Args:
        x: Local features.
        scores: Attention scores (B, H, W, 1), not negative.
        valid: Mask, see above.
    """
    return spoc(l2_normalize(x) * ops.cast(scores, x.dtype), valid)


@in_float32
def crow(
    x: Tensor, epsilon: float = 1e-6, valid: Tensor | None = None
) -> Tensor:
    """Sum of spatially and channel-wise weighted features, to (B, C).

    Args:
        x: Local features; positions above 0 count as active.
        epsilon: Keeps the logarithm finite for channels that are never active.
        valid: Mask, see above.
    """
    x = zero_padding(x, valid)
    energies = ops.sum(x, axis=-1, keepdims=True)
    shares = l2_normalize(energies, axis=(1, 2))
    # Below 1e-12 the root is flat: its slope is infinite at 0.
    spatial_weights = ops.sqrt(ops.maximum(shares, 1e-12))
    activity = spoc(ops.cast(x > 0, x.dtype), valid)
    total = ops.sum(activity, axis=-1, keepdims=True)
    channel_weights = ops.log((total + epsilon) / (activity + epsilon))
    return channel_weights * ops.sum(x * spatial_weights, axis=(1, 2))


@in_float32
def scda(x: Tensor, connectivity: int = 8) -> Tensor:
    """Mean and maximum inside the main object, (B, H, W, C) to (B, 2C).

    Args:
        x: Local features.
        connectivity: 8 if diagonal neighbours are connected, 4 if not.
    """
    energies = ops.sum(x, axis=-1)
    salient = energies > ops.mean(energies, axis=(1, 2), keepdims=True)
    selected = largest_component(salient, connectivity)
    # In a constant map no position is above the mean; then all are selected.
    nothing = ops.logical_not(ops.any(selected, axis=(1, 2), keepdims=True))
    selected = ops.expand_dims(ops.logical_or(selected, nothing), -1)
    sums = ops.sum(ops.where(selected, x, 0.0), axis=(1, 2))
    count = ops.sum(ops.cast(selected, x.dtype), axis=(1, 2))
    peaks = ops.max(ops.where(selected, x, -float("inf")), axis=(1, 2))
    return ops.concatenate([sums / count, peaks], axis=-1)


@in_float32
def rmac(x: Tensor, levels: int = 3) -> Tensor:
    """Sum of the regions' L2-normalized maxima, (B, H, W, C) to (B, C).

    Args:
        x: Local features.
        levels: Number of scales of regions; the whole map is always added.
    """
    total = l2_normalize(mac(x))
    for level in range(1, levels + 1):
        maxima = l2_normalize(region_maxima(x, level))
        total += ops.sum(maxima, axis=(1, 2))
    return total


@in_float32
def regional_attention(
    x: Tensor, attend: Callable[[Tensor], Tensor], levels: int = 3
) -> Tensor:
    """Sum of weighted L2-normalized maxima of regions, to (B, C).

    Args:
        x: Local features.
        attend: From (B, regions, 2C), the mean of each region and then that of
            the whole map, to (B, regions, 1), the weights of the regions.
        levels: Number of scales of regions; the whole map is always one.
    """
    whole = ops.expand_dims(ops.mean(x, axis=(1, 2)), 1)
    maxima = [ops.expand_dims(mac(x), 1)]
    means = [whole]
    channels = x.shape[-1]
    for level in range(1, levels + 1):
        for regions, reduce in ((maxima, region_maxima), (means, region_means)):
            flat = ops.reshape(
                reduce(x, level), (ops.shape(x)[0], -1, channels)
            )
            regions.append(flat)
    features = ops.concatenate(means, axis=1)
    context = ops.broadcast_to(whole, ops.shape(features))
    weights = attend(ops.concatenate([features, context], axis=-1))
    maxima = l2_normalize(ops.concatenate(maxima, axis=1))
    return ops.sum(weights * maxima, axis=1)


@in_float32
def pyramid_maxima(
    x: Tensor, sizes: Sequence[int], valid: Tensor | None = None
) -> Tensor:
    """Maxima in the cells of grids over the photo, to (B, cells, C).

    A grid of size n has n x n cells. Cell i of an axis of s positions starts at
    floor(i s / n) and ends before ceil((i + 1) s / n), so that none is empty.

    Args:
        x: Local features.
        sizes: Cells per side of each grid.
        valid: Mask, see above; the grids cover the photo without its padding.
    """
    _, height, width, _ = ops.shape(x)
    if valid is None:
        rows, columns = (ops.full((1,), side) for side in (height, width))
    else:
        rows = ops.sum(ops.cast(ops.any(valid, axis=2), "int32"), axis=1)
        columns = ops.sum(ops.cast(ops.any(valid, axis=1), "int32"), axis=1)
    cells = []
    for size in sizes:
        for row in range(size):
            inside = _cell(row, size, rows, height)[:, :, None, None]
            band = ops.max(ops.where(inside, x, -float("inf")), axis=1)
            for column in range(size):
                inside = _cell(column, size, columns, width)[:, :, None]
                cells.append(
                    ops.max(ops.where(inside, band, -float("inf")), axis=1)
                )
    return ops.stack(cells, axis=1)


def _cell(
    number: int, size: int, extents: Tensor, length: int | Tensor
) -> Tensor:
    """Returns the (B, length) positions of a cell along one axis."""
    extents = ops.cast(extents, "int32")[:, None]
    start = number * extents // size
    end = -(-(number + 1) * extents // size)
    places = ops.arange(length, dtype="int32")[None]
    return ops.logical_and(places >= start, places < end)
