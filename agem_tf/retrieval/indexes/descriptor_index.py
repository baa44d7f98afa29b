"""Base class of all indexes: add, remove and search photos by name.

Subclasses differ in where descriptors are stored and in the speed and accuracy
of the search. The checks and their messages are shared.
"""

import abc
import collections
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from agem_tf.descriptors.descriptor_set import check_finite
from agem_tf.errors import UserError
from agem_tf.retrieval import nearest
from agem_tf.retrieval.indexes.metadata_filter import MetadataFilter
from agem_tf.retrieval.indexes.photo_metadata import NO_FIELDS, Fields

_DEFAULT_TOP = 10
# How many times as many photos are found, if those before did not suffice.
_GROWTH = 8


class Match(NamedTuple):
    """Photo found for a query.

    Attributes:
        name: name of the photo.
        similarity: dot product of its descriptor and the query's.
        metadata: its metadata, as far as a library adds them.
        copies: names of its copies, where those are collapsed.
    """

    name: str
    similarity: float
    metadata: Fields = NO_FIELDS
    copies: tuple[str, ...] = ()


class DescriptorIndex(abc.ABC):
    """Base index of descriptors of one dimension with unique names.

    Attributes:
        factory: kind of the index, as given by --factory.
        dimension: dimension of the descriptors.
        ghosts: number of removed photos whose descriptors are still stored.
    """

    ghosts = 0

    def __init__(self, factory: str, dimension: int):
        self.factory = factory
        self.dimension = dimension

    @abc.abstractmethod
    def __len__(self) -> int:
        """Returns the number of photos."""

    @abc.abstractmethod
    def known(self, names: Collection[str]) -> set[str]:
        """Returns the subset of `names` that is in the index."""

    @abc.abstractmethod
    def names(self) -> list[str]:
        """Returns the names of all photos.

        Raises:
            UserError: this kind of index can't list them.
        """

    def add(self, names: Sequence[str], descriptors: np.ndarray) -> None:
        """Adds photos; see `exchange`."""
        self.exchange([], names, descriptors)

    def descriptor(self, name: str) -> np.ndarray | None:
        """Returns the (dimension,) descriptor of a photo.

        None if the photo is not in the index, or its descriptor is not kept.
        """
        return None

    def descriptors_of(self, names: Sequence[str]) -> np.ndarray | None:
        """Returns the (names, dimension) descriptors of photos of the index.

        None if this kind of index does not keep descriptors.
        """
        return None

    def passing(self, where: MetadataFilter) -> Collection[str] | None:
        """Returns the names of the photos that pass a filter, for `search`.

        None if this kind of index does not keep metadata itself.

        Raises:
            UserError: this kind of index does not support the filter.
        """
        return None

    def exchange(
        self,
        gone: Collection[str],
        names: Sequence[str],
        descriptors: np.ndarray,
    ) -> None:
        """Removes photos and adds others, which may have the same names.

        Args:
            gone: names of photos of the index.
            names: names of the photos to add.
            descriptors: (photos, dimension) of any real type, possibly a
                memory map, which must exist as long as the index.

        Raises:
            UserError: a name is repeated or already in the index, the
                dimension differs, a value is not finite, or this kind of
                index does not support the descriptors.
        """
        names = list(names)
        self._check_dimension(descriptors)
        repeated = [
            n for n, count in collections.Counter(names).items() if count > 1
        ]
        gone = set(gone)
        for name in repeated or sorted(self.known(names) - gone):
            raise UserError(
                f"The index can hold {name!r} only once; remove it first or "
                "leave it out."
            )
        for start, block in nearest.row_blocks(descriptors):
            self._check_rows(names[start : start + len(block)], block)
        if gone and len(gone) == len(self) and not names:
            raise UserError(
                "The index would be empty; delete it instead of its photos."
            )
        if gone:
            self._remove(gone)
        if names:
            self._add(names, descriptors)

    def remove(self, names: Collection[str]) -> None:
        """Removes photos.

        Raises:
            UserError: a name is not in the index, or no photo would be left.
        """
        gone = set(names)
        for name in sorted(gone - self.known(gone)):
            raise UserError(
                f"The index has no photo {name!r}; give names as the search "
                "prints them."
            )
        self.exchange(gone, [], np.empty((0, self.dimension), np.float32))

    def rename(self, names: Mapping[str, str]) -> None:
        """Renames photos.

        Args:
            names: new names by present name; no new name is in the index.
        """
        if names:
            self._rename(names)

    def search(
        self,
        descriptors: np.ndarray,
        top: int | None = None,
        among: Collection[str] | None = None,
    ) -> list[list[Match]]:
        """Returns the most similar photos of each query.

        Args:
            descriptors: (queries, dimension).
            top: number of photos per query; 10 by default, or all photos of a
                smaller index.
            among: names of the photos that may be found; all by default.

        Returns:
            One list per query, best first, of length `top`, or of `among` if
            that is shorter; an approximate index may find fewer.

        Raises:
            UserError: `top` exceeds the size of the index, the dimension
                differs, or a value is not finite.
        """
        self._check_dimension(descriptors)
        names = [f"query {number}" for number in range(len(descriptors))]
        self._check_rows(names, descriptors)
        rows = np.asarray(descriptors, np.float32)
        top = self.num_found(top)
        if among is None:
            return self._search(rows, top)
        # Membership in a list is slow to ask for.
        among = set(among) if isinstance(among, Sequence) else among
        return self._search_among(rows, top, among)

    def num_found(self, top: int | None = None) -> int:
        """Returns `top`, or its default: 10, or all photos of a smaller index.

        Raises:
            UserError: the index has fewer photos.
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
        """Sets search parameters, which trade speed for accuracy.

        Args:
            parameters: parameters of this kind of index, e.g. {"nprobe": 16}.

        Raises:
            UserError: this kind of index has no such parameter.
        """
        if parameters:
            raise UserError(
                f"An index of kind {self.factory} has no parameter "
                f"{next(iter(parameters))!r}."
            )

    @abc.abstractmethod
    def _add(self, names: list[str], descriptors: np.ndarray) -> None:
        """Adds photos; `exchange` has checked them."""

    @abc.abstractmethod
    def _remove(self, names: set[str]) -> None:
        """Removes photos, all of which are in the index."""

    @abc.abstractmethod
    def _rename(self, names: Mapping[str, str]) -> None:
        """Renames photos, of which there is at least one."""

    @abc.abstractmethod
    def _search(self, queries: np.ndarray, top: int) -> list[list[Match]]:
        """Searches; `search` has checked the queries and `top`."""

    def _search_among(
        self, queries: np.ndarray, top: int, names: Collection[str]
    ) -> list[list[Match]]:
        """Searches for some photos only, by finding more and leaving others."""
        wanted = top
        while True:
            wanted = min(len(self), _GROWTH * wanted)
            found = [
                [match for match in matches if match.name in names][:top]
                for matches in self._search(queries, wanted)
            ]
            fewest = min((len(matches) for matches in found), default=top)
            if wanted == len(self) or fewest >= min(top, len(names)):
                return found

    def _check_rows(self, names: Sequence[str], rows: np.ndarray) -> None:
        """Refuses descriptors that this kind of index does not support."""
        check_finite(rows, names)

    def _check_dimension(self, descriptors: np.ndarray) -> None:
        shape = tuple(descriptors.shape)
        if len(shape) != 2 or shape[1] != self.dimension:
            raise UserError(
                f"The index holds descriptors of {self.dimension} dimensions; "
                "extract descriptors with its own model. Received: shape "
                f"{shape}"
            )
