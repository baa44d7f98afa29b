"""The largest connected component of a mask, computed inside the graph.

Every position starts with a label of its own and takes the greatest label
among its neighbours until nothing changes: shapes stay static, so that the
same code runs on every backend and accelerator. Labels are positions, so each
round can also follow a label to that position's own, which makes the number of
rounds grow with the logarithm of a component's length.
"""

from keras import ops

from agem_tf.ops.precision import Tensor


def largest_component(mask: Tensor, connectivity: int = 8) -> Tensor:
    """Returns the mask of the largest connected component of `mask`.

    Args:
        mask: boolean tensor of shape (batch, height, width).
        connectivity: 8 where diagonal neighbours touch, 4 where they do not.

    Returns:
        Boolean tensor of the same shape. Of components of equal size, the one
        whose last position comes first in reading order. All False where
        `mask` is.
    """
    labels = _component_labels(mask, connectivity)
    largest = _most_frequent_label(labels)
    return ops.logical_and(mask, labels == largest[:, None, None])


def _component_labels(mask, connectivity):
    """Returns int32 labels: 0 outside `mask`, one number per component."""
    _, height, width = ops.shape(mask)
    # Max pooling has no integer kernel on every device; float32 counts exactly
    # to 2 ** 24 positions.
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
    """Returns each image's most frequent label but 0, the least of equals."""
    batch, height, width = ops.shape(labels)
    num_labels = height * width + 1
    offsets = ops.arange(batch, dtype="int32") * num_labels
    ids = ops.reshape(labels + offsets[:, None, None], (-1,))
    counted = ops.reshape(ops.cast(labels > 0, "int32"), (-1,))
    counts = ops.segment_sum(counted, ids, num_segments=batch * num_labels)
    return ops.argmax(ops.reshape(counts, (batch, num_labels)), axis=-1)
