"""Global poolings: one descriptor from a map of local features.

All take (batch, height, width, channels) and return (batch, dimension), compute
in float32, accept maps whose size is unknown when the graph is built, and have
finite gradients on all-zero maps. The layers of the same names document the
formulas.

The argument `valid` is a mask, (B, H, W) booleans that are false in the
padding, with at least one true position per map. None means no padding.
"""

from keras import ops

from agem_tf.ops.canvas_masks import zero_padding
from agem_tf.ops.connected_components import largest_component
from agem_tf.ops.normalization import l2_normalize
from agem_tf.ops.precision import Tensor, in_float32
from agem_tf.ops.regions import region_maxima


@in_float32
def gem(
    x: Tensor,
    p: float | Tensor,
    epsilon: float = 1e-6,
    valid: Tensor | None = None,
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
    """
    # The padding gets the least activation, so that its powers stay finite.
    x = ops.maximum(zero_padding(x, valid), epsilon)
    peak = ops.stop_gradient(ops.max(x, axis=(1, 2), keepdims=True))
    powers = ops.exp(p * ops.log(x / peak))
    means = ops.power(spoc(powers, valid), 1 / p)
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
