"""The two kinds of re-ranking: better descriptors, or a better order.

What the re-ranking methods share: a photo's neighbours and their weights.
"""

import abc
from collections.abc import Callable

import numpy as np

from agem_tf.retrieval.nearest import NotFiniteError, nearest

# (query (dimension,), similarities (photos,), order (photos,)) -> order: the
# database indices of one query, best first, before and after.
Reorder = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


class DescriptorStep(abc.ABC):
    """Replaces descriptors; any number of these may follow each other."""

    @abc.abstractmethod
    def transform(
        self, queries: np.ndarray, database: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns new queries and a new database of the same shapes.

        Args:
            queries: (queries, dimension), L2-normalised.
            database: (photos, dimension), L2-normalised, possibly a memory
                map.

        Raises:
            UserError: the dimensions differ, or a descriptor is not finite.
        """


class RankingStep(abc.ABC):
    """Replaces the order of each query on its own; only the last step."""

    @abc.abstractmethod
    def prepare(self, database: np.ndarray) -> Reorder:
        """Does what needs no query, to serve many of them.

        Args:
            database: (photos, dimension), L2-normalised, possibly a memory
                map.

        Raises:
            UserError: a descriptor is not finite.
        """


Step = DescriptorStep | RankingStep


def check_positive(**arguments: float) -> None:
    """Refuses an argument that is not above 0.

    Raises:
        ValueError: it names the argument.
    """
    for name, value in arguments.items():
        if not value > 0:
            raise ValueError(
                f"`{name}` must be positive. Received: {name}={value}"
            )


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
