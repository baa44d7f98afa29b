"""The largest connected component of a mask, computed inside the graph.

Every position starts with a label of its own and takes the greatest label of
its neighbours until nothing changes. Shapes are static, so the same code runs
on every backend and accelerator. Labels are positions: each round also replaces
a label by the label at that position, so that the number of rounds grows with
the logarithm of a component's length.
"""

from keras import ops

from agem_tf.ops.precision import Tensor


def largest_component(mask: Tensor, connectivity: int = 8) -> Tensor:
    """Returns the mask of the largest connected component of `mask`.

    Args:
        mask: Boolean tensor of shape (batch, height, width).
        connectivity: 8 if diagonal neighbours are connected, 4 if not.

    Returns:
        Boolean tensor of the same shape. Of components of equal size, the one
        whose last position comes first in reading order. All False if `mask`
        is.
    """
    labels = _component_labels(mask, connectivity)
    largest = _most_frequent_label(labels)
    return ops.logical_and(mask, labels == largest[:, None, None])


def _component_labels(mask, connectivity):
    """Returns int32 labels: 0 outside `mask`, one number per component."""
    _, height, width = ops.shape(mask)
    # Some devices have no max pooling of integers; float32 is exact up to
    # 2 ** 24 positions.
    inside = ops.cast(mask, "float32")
    positions = ops.arange(1, height * width + 1, dtype="int32")
    numbers = ops.cast(ops.reshape(positions, (height, width)), "float32")

    def changing(labels, previous):
        return ops.any(labels != previous)

    def spread(labels, previous):
        spread_labels = _neighbourhood_maximum(labels, connectivity)
        return inside * _follow(spread_labels), labels

    initial = (inside * numbers, -ops.ones_like(inside))
    labels, _ = ops.while_loop(changing, spread, initial)
    return ops.cast(labels, "int32")


def _neighbourhood_maximum(labels, connectivity):
    sizes = [(3, 3)] if connectivity == 8 else [(3, 1), (1, 3)]
    x = ops.expand_dims(labels, -1)
    pooled = [
        ops.max_pool(x, size, 1, "same", data_format="channels_last")
        for size in sizes
    ]
    return ops.squeeze(ops.max(ops.stack(pooled), axis=0), -1)


def _follow(labels):
    """Replaces the label n by the label found at position n."""
    shape = ops.shape(labels)
    flat = ops.reshape(labels, (shape[0], -1))
    positions = ops.maximum(ops.cast(flat, "int32") - 1, 0)
    followed = ops.take_along_axis(flat, positions, axis=1)
    return ops.reshape(ops.maximum(flat, followed), shape)


def _most_frequent_label(labels):
    """Returns each image's most frequent label except 0, the least of ties."""
    batch, height, width = ops.shape(labels)
    num_labels = height * width + 1
    offsets = ops.arange(batch, dtype="int32") * num_labels
    ids = ops.reshape(labels + offsets[:, None, None], (-1,))
    counted = ops.reshape(ops.cast(labels > 0, "int32"), (-1,))
    counts = ops.segment_sum(counted, ids, num_segments=batch * num_labels)
    return ops.argmax(ops.reshape(counts, (batch, num_labels)), axis=-1)
