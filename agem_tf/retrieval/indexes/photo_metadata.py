"""Metadata of the photos of an index: landmark, date, place, anything.

A value is a text, a number, true or false, or a list of these.
"""

import json
import math
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from agem_tf.errors import UserError
from agem_tf.retrieval.indexes.photo_lines import PhotoLines, damaged

Value = str | int | float | bool | list
Fields = Mapping[str, Value]

NO_FIELDS: Fields = MappingProxyType({})
_MOST_CHARACTERS = 10_000
_DAMAGE = (ValueError, TypeError, KeyError, RecursionError, UserError)


class PhotoMetadata(PhotoLines):
    """Metadata by photo name; see `PhotoLines`."""

    file_name = "metadata.jsonl"

    # All fields, once they are read.
    _known: dict[str, dict[str, Value]] | None = None

    def read(self) -> Mapping[str, Fields]:
        """Returns the fields of each photo that has any.

        Raises:
            UserError: a file is damaged.
        """
        if self._known is None:
            known = {}
            for path, line in self._read():
                try:
                    entry = json.loads(line)
                    name, fields = entry["photo"], entry["fields"]
                    check_fields(fields, str(path))
                    known[name] = fields
                except _DAMAGE as error:
                    raise damaged(path) from error
            self._known = {name: x for name, x in known.items() if x}
        return self._known

    def of(self, names: Collection[str]) -> Mapping[str, Fields]:
        """Returns the fields of those of some photos that have any."""
        known = self.read()
        return {name: known[name] for name in names if name in known}

    def field_names(self) -> list[str]:
        """Returns the names of all fields, sorted."""
        known = self.read().values()
        return sorted({field for fields in known for field in fields})

    def update(self, name: str, fields: Mapping[str, Value | None]) -> None:
        """Sets fields of a photo and keeps its others.

        Args:
            name: name of the photo.
            fields: values by field; None removes the field.
        """
        merged = {**self.read().get(name, {}), **fields}
        kept = {key: x for key, x in merged.items() if x is not None}
        self._known[name] = kept
        self._changed.add(name)

    def rename(self, names: Mapping[str, str]) -> None:
        """Lets fields follow photos to their new names."""
        if not self.files and self._known is None:
            return
        for old, new in names.items():
            fields = self.read().get(old)
            if fields:
                self.update(new, fields)
        self.forget(names.keys())

    def forget(self, names: Collection[str]) -> None:
        """Removes the fields of photos, also from the files."""
        if not self.files and self._known is None:
            return
        gone = self.read().keys() & set(names)
        for name in gone:
            del self._known[name]
        self._changed -= gone
        self._is_stale |= bool(gone)

    def _new_lines(self) -> list[str]:
        return [
            _line(name, self._known[name]) for name in sorted(self._changed)
        ]

    def _lines_of(self, names: set[str]) -> list[str]:
        return [
            _line(name, fields)
            for name, fields in self.read().items()
            if fields and name in names
        ]

    def _forget_new(self) -> None:
        self._changed = set()


def check_fields(fields: Any, place: str) -> None:
    """Checks that fields are names with texts, numbers or lists of them.

    Args:
        fields: what was read.
        place: where, for the message.

    Raises:
        UserError: they are anything else, or too long.
    """
    if not isinstance(fields, dict):
        raise UserError(f"{place} is not an object of fields.")
    for key, value in fields.items():
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(x, str | int | float | None) for x in parts):
            raise UserError(
                f"{place} has a nested value in {key!r}; metadata are texts, "
                "numbers, true or false, or lists of these."
            )
        if any(isinstance(x, float) and not math.isfinite(x) for x in parts):
            raise UserError(f"{place} has a number that is not finite: {key}.")
        if len(key) + sum(len(str(x)) for x in parts) > _MOST_CHARACTERS:
            raise UserError(
                f"{place} has more than {_MOST_CHARACTERS} characters in "
                f"{key[:40]!r}; shorten it."
            )


def _line(name: str, fields: Fields) -> str:
    return json.dumps({"photo": name, "fields": fields}, allow_nan=False)
