"""Adds metadata to the photos of an index."""

import dataclasses
import os
from collections.abc import Collection

from agem_tf.errors import UserError
from agem_tf.library.metadata_files import (
    apply_metadata,
    exif_rows,
    read_metadata,
)
from agem_tf.retrieval.indexes import Storage, StoredIndex


@dataclasses.dataclass(frozen=True)
class Annotation:
    """Counts of a change of metadata.

    Attributes:
        photos: number of photos of the index that have metadata now.
        fields: names of their fields.
        dated: number of photos with fields from EXIF, None if it was not read.
        unknown: names in the file that the index does not have.
    """

    photos: int
    fields: list[str]
    dated: int | None
    unknown: list[str]

    def summary(self) -> str:
        """Returns the lines that the command prints."""
        fields = f" with {', '.join(self.fields)}" if self.fields else ""
        counted = [f"{self.photos} photos{fields}"]
        if self.dated is not None:
            counted.append(f"{self.dated} read from EXIF")
        lines = [f"Metadata: {'; '.join(counted)}"]
        if self.unknown:
            lines.append(
                f"skipped {len(self.unknown)} rows whose photo the index does "
                f"not have, for example {self.unknown[0]!r}"
            )
        return "\n".join(lines)


def check_annotation(metadata: str, field: str | None = None) -> None:
    """Checks, before photos are described, that metadata can be added.

    Args:
        metadata: path of a file of metadata.
        field: field that it must have, if any.

    Raises:
        UserError: the file is malformed, or no photo has the field.
    """
    found = {name for _, fields in read_metadata(metadata) for name in fields}
    if field is not None and field not in found:
        raise UserError(
            f"{metadata} has no field {field!r} to partition the index by; it "
            f"has {', '.join(sorted(found)) or 'none'}."
        )


def annotate(
    storage: Storage,
    metadata: str | None = None,
    exif: bool = False,
    names: Collection[str] | None = None,
) -> Annotation:
    """Adds metadata of a file, of EXIF blocks, or both, to an index.

    A field of the file prevails over one of EXIF. Other fields stay.

    Args:
        storage: where the index is.
        metadata: path of a CSV file or of JSON lines; see `read_metadata`.
        exif: whether to read date and position of the photos.
        names: photos whose EXIF is read; by default all.

    Raises:
        UserError: the file is malformed, or the folder of the photos is not
            known or not there.
    """
    unknown: list[str] = []
    dated = None
    with storage.changed() as stored:
        if exif:
            paths = _paths(stored, names)
            rows = list(exif_rows(paths))
            apply_metadata(stored, rows)
            dated = len(rows)
        if metadata is not None:
            unknown = apply_metadata(stored, read_metadata(metadata))
        known = stored.metadata.read()
        filled = [fields for fields in known.values() if fields]
    listed = sorted({field for fields in filled for field in fields})
    return Annotation(len(filled), listed, dated, unknown)


def _paths(
    stored: StoredIndex, names: Collection[str] | None
) -> dict[str, str]:
    folder = stored.origin.photos
    if folder is None or not os.path.isdir(folder):
        raise UserError(
            f"The photos of {stored.place} are not in "
            f"{folder or 'any folder it knows'}; give --sync --photos=DIR "
            "before --exif."
        )
    names = stored.index.names() if names is None else names
    return {name: os.path.join(folder, name) for name in names}
