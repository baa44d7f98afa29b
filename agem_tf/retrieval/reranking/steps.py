"""Base classes of re-ranking steps, and what the steps have in common.

A `DescriptorStep` replaces descriptors, a `RankingStep` the order of each
query. `SpatialVerification` replaces the order by local features.
"""

import abc
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from agem_tf.retrieval.nearest import NotFiniteError, nearest

# (query (dimension,), similarities (photos,), order (photos,)) -> new order.
# An order consists of the database indices, best first.
Reorder = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


class DescriptorStep:
    """Base step that replaces descriptors; several may follow each other.

    Attributes:
        compares_all: whether every photo is compared with every other one.
    """

    compares_all: ClassVar[bool] = False

    def expanded(self, queries: np.ndarray, database: np.ndarray) -> np.ndarray:
        """Returns the new queries, by default the same.

        Args:
            queries: (queries, dimension), L2-normalised.
            database: (photos, dimension), L2-normalised, possibly a memory
                map.

        Raises:
            UserError: the dimensions differ, or a descriptor is not finite.
        """
        return queries

    def augmented(self, database: np.ndarray) -> np.ndarray:
        """Returns the new database, by default the same.

        Args:
            database: see `expanded`.

        Raises:
            UserError: a descriptor is not finite.
        """
        return database


class RankingStep(abc.ABC):
    """Base step that replaces the order of each query; must be the last.

    Attributes:
        compares_all: whether every photo is compared with every other one.
    """

    compares_all: ClassVar[bool] = True

    @abc.abstractmethod
    def prepare(self, database: np.ndarray) -> Reorder:
        """Does the part that depends on the database alone.

        Args:
            database: (photos, dimension), L2-normalised, possibly a memory
                map.

        Returns:
            A function that re-ranks the order of one query.

        Raises:
            UserError: a descriptor is not finite.
        """


def check_positive(**arguments: float) -> None:
    """Checks that all arguments are positive and finite.

    Raises:
        ValueError: an argument is not; the message names it.
    """
    for name, value in arguments.items():
        if not 0 < value < np.inf:
            raise ValueError(
                f"`{name}` must be positive and finite. "
                f"Received: {name}={value}"
            )


def nearest_others(
    descriptors: np.ndarray, top: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the `top` photos most similar to each photo, without itself.

    Args:
        descriptors: (photos, dimension), possibly a memory map.
        top: number of other photos, at least 1.

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
    # If copies displace a photo from its own list, the last one is dropped.
    is_self[~is_self.any(axis=1), -1] = True
    shape = len(indices), indices.shape[1] - 1
    return (
        indices[~is_self].reshape(shape),
        similarities[~is_self].reshape(shape),
    )


def similarity_weights(similarities: np.ndarray, power: float) -> np.ndarray:
    """Returns max(s, 0)^power; ones if the power is 0.

    Negative similarities have no fractional power, and a dissimilar photo
    should not get a weight by the magnitude of its similarity.
    """
    if power == 0:
        return np.ones_like(similarities)
    return np.maximum(similarities, 0) ** power
