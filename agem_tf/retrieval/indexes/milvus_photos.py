"""What an index in Milvus knows of its photos: states, metadata, selections."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from agem_tf.errors import UserError
from agem_tf.retrieval.indexes.milvus_filter import filterable, metadata_in
from agem_tf.retrieval.indexes.photo_metadata import Fields, Value
from agem_tf.retrieval.indexes.photo_states import PhotoState

if TYPE_CHECKING:
    from agem_tf.retrieval.indexes.milvus_index import MilvusIndex

_STATE = "state"
# The manifest, a property of a collection, lists them.
_MOST_FIELDS = 500


def photo_entry(
    state: PhotoState | None, fields: Fields | None
) -> dict[str, Any]:
    """Returns the entries of a row for a state, metadata, or both."""
    entry = {} if fields is None else filterable(fields)
    return entry | ({_STATE: list(state)} if state else {})


class MilvusStates:
    """States of the photos of an index in Milvus; see `PhotoStates`."""

    def __init__(self, index: MilvusIndex | None = None):
        self._index = index
        self.new: dict[str, PhotoState] = {}

    def read(self) -> dict[str, PhotoState]:
        """Returns the state of each photo that has one."""
        known = {
            name: PhotoState(*photo[_STATE])
            for name, photo in self._index.photos()
            if _STATE in photo
        }
        return known | self.new

    def record(self, name: str, state: PhotoState) -> None:
        """Sets the state of a photo, once `values` is written."""
        self.new[name] = state

    def values(self) -> dict[str, dict[str, Any]]:
        """Returns what is to be written, by photo."""
        return {
            name: photo_entry(state, None) for name, state in self.new.items()
        }


class MilvusMetadata:
    """Metadata of the photos of an index in Milvus; see `PhotoMetadata`."""

    def __init__(self, index: MilvusIndex):
        self._index = index
        self._known: dict[str, dict[str, Value]] | None = None
        self._changed: set[str] = set()

    def read(self) -> Mapping[str, Fields]:
        """Returns the fields of each photo that has any."""
        if self._known is None:
            self._known = {
                name: metadata_in(photo)
                for name, photo in self._index.photos()
                if metadata_in(photo)
            }
        return self._known

    def of(self, names: Collection[str]) -> Mapping[str, Fields]:
        """Returns the fields of those of some photos that have any."""
        if self._known is not None:
            return {n: self._known[n] for n in names if n in self._known}
        found = self._index.photos(names)
        return {name: metadata_in(photo) for name, photo in found}

    def field_names(self) -> list[str]:
        """Returns the names of all fields, sorted."""
        return sorted(self._index.fields)

    def update(self, name: str, fields: Mapping[str, Value | None]) -> None:
        """Sets fields of a photo and keeps its others; None removes one."""
        merged = {**self.read().get(name, {}), **fields}
        kept = {key: x for key, x in merged.items() if x is not None}
        self._known[name] = kept
        self._changed.add(name)

    def rename(self, names: Mapping[str, str]) -> None:
        """Does nothing: fields are in the rows of the photos."""

    def forget(self, names: Collection[str]) -> None:
        """Does nothing: fields go with the rows of the photos."""

    def values(self) -> dict[str, dict[str, Any]]:
        """Returns what is to be written, by photo."""
        return {name: filterable(self._known[name]) for name in self._changed}

    def fields(self) -> dict[str, bool]:
        """Returns the names of all fields, and whether some photo has a list.

        Raises:
            UserError: there are too many fields.
        """
        if not self._changed:
            return self._index.fields
        found: dict[str, bool] = {}
        for fields in self._known.values():
            for field, value in fields.items():
                found[field] = isinstance(value, list) or found.get(
                    field, False
                )
        if len(found) > _MOST_FIELDS:
            raise UserError(
                f"An index in Milvus has at most {_MOST_FIELDS} fields of "
                f"metadata; leave some out. Received: {len(found)}"
            )
        return found


class MilvusSelection(Collection[str]):
    """Names of the photos that pass a filter, which Milvus finds.

    Args:
        index: the index.
        expression: the filter as an expression of Milvus.
    """

    def __init__(self, index: MilvusIndex, expression: str):
        self._index, self.expression = index, expression

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        return self._index.selected(self.expression)

    def __contains__(self, name: object) -> bool:
        return bool(self._index.known([str(name)], self.expression))

    @functools.cached_property
    def _count(self) -> int:
        return self._index.count(self.expression)
