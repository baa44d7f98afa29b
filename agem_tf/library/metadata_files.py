"""Reads metadata of photos: a CSV file, JSON lines, or the EXIF of photos."""

import json
import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping

from etils import epath

from agem_tf.errors import UserError
from agem_tf.files.csv_tables import csv_rows
from agem_tf.files.locations import check_file
from agem_tf.photos.exif_facts import read_exif_facts
from agem_tf.retrieval.indexes import StoredIndex
from agem_tf.retrieval.indexes.metadata_filter import typed_value
from agem_tf.retrieval.indexes.photo_metadata import Value, check_fields

# Names of the column, or key, that names the photo.
_PHOTO_KEYS = ("photo", "path", "name")
_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")

Row = tuple[str, dict[str, Value | None]]


def read_metadata(path: str) -> Iterator[Row]:
    """Yields the name of a photo and its fields, row by row.

    Args:
        path: path of a CSV file with a header, or of JSON lines (.jsonl); the
            column or key "photo", "path" or "name" names the photo. Numbers in
            a CSV file become numbers; an empty cell, or null, removes a field.

    Raises:
        UserError: the file can't be read, or names no photos.
    """
    if os.fspath(path).lower().endswith(_JSON_SUFFIXES):
        yield from _json_rows(path)
    else:
        yield from _csv_rows(path)


def apply_metadata(stored: StoredIndex, rows: Iterable[Row]) -> list[str]:
    """Sets fields of the photos of an index, and keeps their others.

    Args:
        stored: the index.
        rows: names, or absolute paths, of photos, and their fields.

    Returns:
        The names that the index does not have.

    Raises:
        UserError: a row is malformed.
    """
    known, unknown = set(stored.index.names()), []
    for photo, fields in rows:
        spellings = _spellings(photo, stored.origin.photos)
        name = next((each for each in spellings if each in known), None)
        if name is None:
            unknown.append(photo)
        else:
            stored.metadata.update(name, fields)
    return unknown


def _spellings(photo: str, folder: str | None) -> Iterator[str]:
    """Yields how an index may write the name, or the path, of a photo.

    A table from Windows has backslashes, and one from macOS may have another
    Unicode normal form than the file.
    """
    yield photo
    name = os.path.normpath(photo.replace("\\", "/"))
    if folder and os.path.isabs(name):
        name = os.path.relpath(name, folder)
    yield name
    for form in ("NFC", "NFD"):
        yield unicodedata.normalize(form, name)


def exif_rows(paths: Mapping[str, str]) -> Iterator[Row]:
    """Yields the EXIF fields of photos that have some.

    Args:
        paths: path of each photo, by name; unreadable ones are left out.
    """
    for name, path in paths.items():
        facts = read_exif_facts(path)
        if facts:
            yield name, facts


def _csv_rows(path: str) -> Iterator[Row]:
    rows = csv_rows(path)
    _, header = next(rows, (0, []))
    place = _photo_place(header, f"The header of {path}")
    if len(set(header)) < len(header) or not all(header):
        raise UserError(
            f"The header of {path} has an empty or repeated column; name each "
            f"once. Received: {','.join(header)}"
        )
    for line, cells in rows:
        if len(cells) != len(header):
            raise UserError(
                f"{path} has {len(cells)} instead of {len(header)} cells in "
                f"line {line}; correct it."
            )
        fields = {
            key: typed_value(cell) if cell else None
            for key, cell in zip(header, cells, strict=True)
        }
        name = cells[place]
        del fields[header[place]]
        check_fields(fields, f"Line {line} of {path}")
        yield name, fields


def _json_rows(path: str) -> Iterator[Row]:
    check_file(path)
    try:
        with epath.Path(path).open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                place = f"Line {number} of {path}"
                try:
                    fields = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise UserError(
                        f"{place} is not JSON; give one object per line."
                    ) from error
                check_fields(fields, place)
                keys = list(fields)
                name = fields.pop(keys[_photo_place(keys, place)])
                if not isinstance(name, str):
                    raise UserError(f"{place} names no photo by a text.")
                yield name, fields
    except OSError as error:
        raise UserError(
            f"{path} can't be read: {error.strerror or error}; give a CSV "
            "file or JSON lines."
        ) from error


def _photo_place(keys: list[str], place: str) -> int:
    for key in _PHOTO_KEYS:
        if key in keys:
            return keys.index(key)
    raise UserError(
        f"{place} lacks 'photo', the name of the photo in the index. Received: "
        f"{', '.join(keys)[:200] or 'nothing'}"
    )
