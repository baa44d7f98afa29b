"""Descriptors of a list of photos, in memory or mapped from the disk.

The descriptors of a million photos, 2048 dimensions each, take 8 GB, or 4 GB in
half precision. They are written batch by batch while the model runs, and read
through a memory map.
"""

import contextlib
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from agem_tf.errors import UserError
from agem_tf.files import arrays
from agem_tf.files.atomic_writing import (
    Unfinished,
    atomic_directory,
    resumable_directory,
)
from agem_tf.files.locations import as_location, is_remote
from agem_tf.files.manifest import read_manifest, write_manifest
from agem_tf.files.portions import check_complete, portions_in
from agem_tf.files.provenance import (
    check_same_provenance,
    normalize_provenance,
)
from agem_tf.files.remote_directories import fetched
from agem_tf.files.rows import GrowingArray, RowsView, StackedRows

KIND = "descriptors"
_ARRAY = "descriptors.npy"
_NAMES = "names.txt"
_BLOCK = 8192
# Rows that a killed writer may lose: most networks take less than a minute.
_NOTED_ROWS = 1000


@dataclass(eq=False)
class DescriptorSet:
    """Photo names and their descriptors.

    Attributes:
        names: One name per photo, unique or not, without line breaks.
        descriptors: (photos, dimension) float32 or float16, possibly a memory
            map or a view of several. Other types become float32.
        provenance: How the descriptors were made. The keys "model" (a
            fingerprint), "image", "scales" and "whitening" decide which sets
            may be compared; others, for example "dataset", are notes.
    """

    names: Sequence[str]
    descriptors: np.ndarray | RowsView
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names = arrays.check_names(self.names, "names")
        self.provenance = normalize_provenance(self.provenance)
        shape = np.shape(self.descriptors)
        if len(shape) != 2 or shape[0] != len(self.names):
            raise UserError(
                f"descriptors must have one row for each of {len(self.names)} "
                f"names. Received: shape {shape}"
            )
        if isinstance(self.descriptors, RowsView):
            return
        self.descriptors = np.asanyarray(self.descriptors)
        if self.descriptors.dtype != np.float16:
            self.descriptors = np.asanyarray(self.descriptors, np.float32)

    def is_of(
        self, names: Sequence[str], provenance: Mapping[str, Any]
    ) -> bool:
        """Returns whether the set has these names and this provenance."""
        made = normalize_provenance(provenance)
        return self.names == list(names) and self.provenance == made

    def save(self, directory: str | os.PathLike) -> None:
        """Writes descriptors.npy, names.txt and manifest.json.

        Raises:
            UserError: a descriptor is not finite, or the directory holds files
                of another origin.
        """
        with DescriptorWriter(
            directory,
            self.names,
            self.descriptors.shape[1],
            self.provenance,
            self.descriptors.dtype,
        ) as writer:
            for start in range(0, len(self.names), _BLOCK):
                writer.write(self.descriptors[start : start + _BLOCK])

    @classmethod
    def load(
        cls,
        directory: str | os.PathLike,
        mmap: bool = True,
        verify: bool = False,
    ) -> Self:
        """Reads what `save` or a `DescriptorWriter` wrote.

        Args:
            directory: Directory of the descriptors, or of all shards of an
                extraction, which are joined without a copy. A remote one is
                copied to the directory for temporary files.
            mmap: Whether to map the array instead of reading it.
            verify: Whether to compare the files with their checksums first.

        Raises:
            UserError: the directory is missing, damaged or of another kind, or
                lacks shards.
        """
        portions = portions_in(as_location(directory, "the descriptors"))
        if portions:
            check_complete(portions)
            return cls._joined([cls.load(p, mmap, verify) for p in portions])
        if is_remote(directory):
            with fetched(directory) as copy:
                return cls.load(copy, mmap, verify)
        directory = Path(directory)
        manifest = read_manifest(directory, KIND, verify)
        descriptors = arrays.load_array(directory / _ARRAY, mmap)
        names = arrays.read_names(directory / _NAMES)
        if descriptors.ndim != 2 or len(descriptors) != len(names):
            raise UserError(
                f"{directory / _ARRAY} has shape {descriptors.shape} for "
                f"{len(names)} names; write its directory again."
            )
        if descriptors.dtype.kind != "f":
            raise UserError(
                f"{directory / _ARRAY} holds {descriptors.dtype}, not floats; "
                "write its directory again."
            )
        return cls(names, descriptors, manifest.get("provenance", {}))

    @classmethod
    def _joined(cls, parts: Sequence[Self]) -> Self:
        made = parts[0].provenance
        for part in parts:
            check_same_provenance(
                part.provenance, made, "one shard", "another shard"
            )
        return cls(
            [name for part in parts for name in part.names],
            StackedRows([part.descriptors for part in parts]),
            made,
        )


class DescriptorWriter:
    """Context manager that writes a descriptor set batch by batch.

    The directory appears when the block ends without an error.

    Example:
        with DescriptorWriter("out", names, 2048, provenance) as writer:
            for images in batches:
                writer.write(model(images))

    Args:
        directory: Directory of the new set; an older set is replaced. A remote
            one (gs://) is uploaded when the set is finished.
        names: Names of all photos, in the order of the rows to come.
        dimension: Length of a descriptor.
        provenance: See `DescriptorSet`.
        dtype: float32, or float16 for half the space, which changes the dot
            products of unit descriptors of 2048 dimensions by about 1e-5.
        resume: Whether to resume what an earlier writer of the same set left
            unfinished, and to leave unfinished work in turn.

    Attributes:
        rows_written: Descriptors written so far, by earlier writers too; the
            next one is that of `names[rows_written]`.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        names: Sequence[str],
        dimension: int,
        provenance: Mapping[str, Any] | None = None,
        dtype: np.dtype | type = np.float32,
        resume: bool = False,
    ) -> None:
        if dimension < 1:
            raise ValueError(
                f"`dimension` must be positive. Received: dimension={dimension}"
            )
        self.directory = as_location(directory, "--output")
        self.names = arrays.check_names(names, "names")
        self.dimension = dimension
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self.provenance = normalize_provenance(provenance or {})
        self._resume = resume
        self._unfinished: Unfinished | None = None

    @property
    def rows_written(self) -> int:
        return self._array.rows

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            if self._resume:
                self._unfinished = stack.enter_context(
                    resumable_directory(self.directory, self._identity())
                )
                self._temporary = self._unfinished.content
            else:
                self._temporary = stack.enter_context(
                    atomic_directory(self.directory)
                )
            self._array = stack.enter_context(self._open_array())
            self._resources = stack.pop_all()
        return self

    def __exit__(self, *exception: Any) -> None:
        if exception[0] is not None:
            with contextlib.suppress(OSError, UserError):
                self._note_rows()
            self._resources.__exit__(*exception)
            return
        with self._resources:
            self._finish()

    def write(self, batch: np.ndarray) -> None:
        """Appends the descriptors of the next photos.

        Args:
            batch: (photos, dimension); converted to `dtype`.

        Raises:
            UserError: a value is NaN or infinite; the photo is named.
            ValueError: the shape is wrong, or there are more rows than names.
        """
        batch = np.ascontiguousarray(batch, self.dtype)
        if batch.ndim != 2 or batch.shape[1] != self.dimension:
            raise ValueError(
                f"`batch` must have shape (photos, {self.dimension}). "
                f"Received: shape {batch.shape}"
            )
        names = self.names[self.rows_written :][: len(batch)]
        if len(names) < len(batch):
            raise ValueError(
                f"`batch` has {len(batch)} rows, but only {len(names)} of "
                f"{len(self.names)} photos are left."
            )
        check_finite(batch, names)
        self._array.append(batch)
        noted = self._unfinished.done if self._unfinished else 0
        if self.rows_written - noted >= _NOTED_ROWS:
            self._note_rows()

    def _open_array(self) -> GrowingArray:
        return GrowingArray(
            self._temporary / _ARRAY,
            (len(self.names), self.dimension),
            self.dtype,
            self._unfinished.done if self._unfinished else 0,
        )

    def _note_rows(self) -> None:
        if self._unfinished:
            self._array.flush()
            self._unfinished.note(self.rows_written)

    def _identity(self) -> dict[str, Any]:
        names = "\n".join(self.names).encode("utf-8", "surrogateescape")
        return {
            "names": hashlib.sha256(names).hexdigest(),
            "dimension": self.dimension,
            "dtype": self.dtype.str,
            "provenance": self.provenance,
        }

    def _finish(self) -> None:
        if self.rows_written != len(self.names):
            raise ValueError(
                f"Expected {len(self.names)} descriptors, one per name. "
                f"Received: {self.rows_written}"
            )
        self._note_rows()
        self._array.close()
        arrays.write_names(self._temporary / _NAMES, self.names)
        write_manifest(self._temporary, KIND, provenance=self.provenance)


def check_finite(descriptors: np.ndarray, names: Sequence[str]) -> None:
    """Checks that descriptors have no NaN or infinite values.

    Args:
        descriptors: (photos, dimension) in memory.
        names: one name per row, for the message.

    Raises:
        UserError: a value is not finite; the message names the photo.
    """
    finite = np.isfinite(descriptors).all(axis=1)
    if not finite.all():
        name = names[int(np.argmin(finite))]
        raise UserError(
            f"The descriptor of {name!r} holds NaN or infinite values; check "
            "that photo and the weights of the model."
        )
