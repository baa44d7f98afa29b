"""What the re-ranking methods share: a photo's neighbours and their weights."""

import numpy as np

from agem_tf.similarity import NotFiniteError, nearest


def nearest_others(
    descriptors: np.ndarray, top: int
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the `top` photos most similar to each photo, itself left out.

    Args:
        descriptors: (photos, dimension), possibly a memory map.
        top: at least 1.

    Returns:
        (photos, min(top, photos - 1)) int32 indices, best first, and their
        float32 dot products.

    Raises:
        UserError: a descriptor is not finite.
    """
    try:
        indices, similarities = nearest(descriptors, descriptors, top + 1)
    except NotFiniteError as error:
        raise NotFiniteError("database", error.row) from error
    is_self = indices == np.arange(len(indices))[:, np.newaxis]
    # Copies of a photo may crowd it out of its own list; then the last goes.
    is_self[~is_self.any(axis=1), -1] = True
    shape = len(indices), indices.shape[1] - 1
    return (
        indices[~is_self].reshape(shape),
        similarities[~is_self].reshape(shape),
    )


def similarity_weights(similarities: np.ndarray, power: float) -> np.ndarray:
    """max(s, 0)^power; all ones for power 0.

    A negative similarity has no fractional power, and a photo that points
    away from the query should not count by how far it does.
    """
    if power == 0:
        return np.ones_like(similarities)
    return np.maximum(similarities, 0) ** power
