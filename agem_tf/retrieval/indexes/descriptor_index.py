"""What every kind of index does: add, remove and search photos by name.

Kinds differ in where descriptors lie and how fast and how exactly they are
found. What they refuse, and in which words, is the same and decided here.
"""

import abc
import collections
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from agem_tf.descriptors.descriptor_set import check_finite
from agem_tf.errors import UserError
from agem_tf.retrieval import nearest

_DEFAULT_TOP = 10


class Match(NamedTuple):
    """A photo that was found.

    Attributes:
        name: of the photo.
        similarity: dot product of its descriptor and the query's.
    """

    name: str
    similarity: float


class DescriptorIndex(abc.ABC):
    """Descriptors of one dimension under unique names.

    Attributes:
        factory: which kind it is, as the user asked for it.
        dimension: of the descriptors.
    """

    def __init__(self, factory: str, dimension: int):
        self.factory = factory
        self.dimension = dimension

    @abc.abstractmethod
    def __len__(self) -> int:
        """How many photos can be found."""

    @abc.abstractmethod
    def known(self, names: Collection[str]) -> set[str]:
        """Returns those of `names` that the index holds."""

    def add(self, names: Sequence[str], descriptors: np.ndarray) -> None:
        """Adds photos.

        Args:
            names: of the photos, none of them in the index yet.
            descriptors: (photos, dimension) of any real type, possibly a
                memory map, which must live as long as the index.

        Raises:
            UserError: a name is repeated or known, the dimension differs, a
                value is not finite, or this kind of index can't hold them.
        """
        names = list(names)
        self._check_dimension(descriptors)
        repeated = [
            n for n, count in collections.Counter(names).items() if count > 1
        ]
        for name in repeated or sorted(self.known(names)):
            raise UserError(
                f"The index can hold {name!r} only once; remove it first or "
                "leave it out."
            )
        for start, block in nearest.row_blocks(descriptors):
            self._check_rows(names[start : start + len(block)], block)
        self._add(names, descriptors)

    def remove(self, names: Collection[str]) -> None:
        """Removes photos.

        Raises:
            UserError: a name is not in the index, or none would be left.
        """
        gone = set(names)
        for name in sorted(gone - self.known(gone)):
            raise UserError(
                f"The index has no photo {name!r}; give names as the search "
                "prints them."
            )
        if len(gone) == len(self):
            raise UserError(
                "The index would be empty; delete it instead of its photos."
            )
        self._remove(gone)

    def search(
        self, descriptors: np.ndarray, top: int | None = None
    ) -> list[list[Match]]:
        """Finds the most similar photos of each query.

        Args:
            descriptors: (queries, dimension).
            top: photos a query; 10, or all of a smaller index, by default.

        Returns:
            A list a query, best first; `top` long, or shorter where an
            inexact index has not met as many.

        Raises:
            UserError: `top` exceeds the index, the dimension differs, or a
                value is not finite.
        """
        self._check_dimension(descriptors)
        names = [f"query {number}" for number in range(len(descriptors))]
        self._check_rows(names, descriptors)
        rows = np.asarray(descriptors, np.float32)
        return self._search(rows, self.num_found(top))

    def num_found(self, top: int | None = None) -> int:
        """Returns how many photos a search for the `top` ones is to find.

        Raises:
            UserError: the index has fewer.
        """
        count = len(self)
        top = min(_DEFAULT_TOP, count) if top is None else top
        if not 1 <= top <= count:
            raise UserError(
                f"The index holds {count} photos; give --top=1 to "
                f"--top={count}. Received: --top={top}"
            )
        return top

    def tune(self, parameters: Mapping[str, int]) -> None:
        """Trades time for exactness in the searches to come.

        Args:
            parameters: of this kind of index, such as {"nprobe": 16}.

        Raises:
            UserError: it has no such parameter.
        """
        if parameters:
            raise UserError(
                f"An index of kind {self.factory} has no parameter "
                f"{next(iter(parameters))!r}."
            )

    @abc.abstractmethod
    def _add(self, names: list[str], descriptors: np.ndarray) -> None:
        """Adds what `add` has checked."""

    @abc.abstractmethod
    def _remove(self, names: set[str]) -> None:
        """Removes what `remove` has checked."""

    @abc.abstractmethod
    def _search(self, queries: np.ndarray, top: int) -> list[list[Match]]:
        """Searches for what `search` has checked."""

    def _check_rows(self, names: Sequence[str], rows: np.ndarray) -> None:
        """Refuses descriptors that this kind of index can't compare."""
        check_finite(rows, names)

    def _check_dimension(self, descriptors: np.ndarray) -> None:
        shape = tuple(descriptors.shape)
        if len(shape) != 2 or shape[1] != self.dimension:
            raise UserError(
                f"The index holds descriptors of {self.dimension} dimensions; "
                "describe the photos with its own model. Received: shape "
                f"{shape}"
            )
