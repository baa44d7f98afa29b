"""The two kinds of re-ranking: better descriptors, or a better order."""

import abc
from collections.abc import Callable

import numpy as np

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
