"""Descriptors of a list of photos, in memory or mapped from the disk.

A million photos make 8 GB: they are written batch after batch while the model
runs, and read through a memory map.
"""

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from agem_tf.artifacts import files
from agem_tf.artifacts.manifest import read_manifest, write_manifest
from agem_tf.artifacts.provenance import normalize_provenance
from agem_tf.artifacts.writing import atomic_directory
from agem_tf.errors import UserError

KIND = "descriptors"
_ARRAY = "descriptors.npy"
_NAMES = "names.txt"
_BLOCK = 8192


@dataclass(eq=False)
class DescriptorSet:
    """Photo names and their descriptors.

    Attributes:
        names: one per photo, unique or not, without line breaks.
        descriptors: (photos, dimension) float32, possibly a memory map.
        provenance: how they were made; the keys "model" (a fingerprint),
            "image", "scales" and "whitening" decide which sets
            may be compared, others such as "dataset" inform.
    """

    names: Sequence[str]
    descriptors: np.ndarray
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names = files.check_names(self.names, "names")
        self.provenance = normalize_provenance(self.provenance)
        shape = np.shape(self.descriptors)
        if len(shape) != 2 or shape[0] != len(self.names):
            raise UserError(
                f"descriptors must have one row for each of {len(self.names)} "
                f"names. Received: shape {shape}"
            )
        self.descriptors = np.asanyarray(self.descriptors, np.float32)

    def is_of(
        self, names: Sequence[str], provenance: Mapping[str, Any]
    ) -> bool:
        """Whether these are the descriptors of `names`, made in that way."""
        made = normalize_provenance(provenance)
        return self.names == list(names) and self.provenance == made

    def save(self, directory: str | os.PathLike) -> None:
        """Writes descriptors.npy, names.txt and manifest.json.

        Raises:
            UserError: a descriptor is not finite, or the directory holds files
                of another origin.
        """
        dimension = self.descriptors.shape[1]
        with DescriptorWriter(
            directory, self.names, dimension, self.provenance
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
            directory: of the descriptors.
            mmap: map the array instead of reading it.
            verify: compare the files with their checksums first.

        Raises:
            UserError: the directory is missing, damaged or of another kind.
        """
        directory = Path(directory)
        manifest = read_manifest(directory, KIND, verify)
        descriptors = files.load_array(directory / _ARRAY, mmap)
        names = files.read_names(directory / _NAMES)
        if descriptors.ndim != 2 or len(descriptors) != len(names):
            raise UserError(
                f"{directory / _ARRAY} has shape {descriptors.shape} for "
                f"{len(names)} names; write its directory again."
            )
        return cls(names, descriptors, manifest.get("provenance", {}))


class DescriptorWriter:
    """Writes a descriptor set batch after batch; a context manager.

    The directory appears when the block ends without an error.

    Example:
        with DescriptorWriter("out", names, 2048, provenance) as writer:
            for images in batches:
                writer.write(model(images))

    Args:
        directory: of the new descriptor set; an older set is replaced.
        names: of all photos, in the order of the rows to come.
        dimension: of a descriptor.
        provenance: see `DescriptorSet`.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        names: Sequence[str],
        dimension: int,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        if dimension < 1:
            raise ValueError(
                f"`dimension` must be positive. Received: dimension={dimension}"
            )
        self.directory = Path(directory)
        self.names = files.check_names(names, "names")
        self.dimension = dimension
        self.provenance = normalize_provenance(provenance or {})
        self._rows_written = 0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._temporary = stack.enter_context(
                atomic_directory(self.directory)
            )
            # Appended to instead of mapped: on a full disk a write raises an
            # error, while a store into a map kills the process (SIGBUS).
            self._file = stack.enter_context(
                (self._temporary / _ARRAY).open("wb")
            )
            self._write_header()
            self._resources = stack.pop_all()
        return self

    def __exit__(self, *exception: Any) -> None:
        if exception[0] is not None:
            self._resources.__exit__(*exception)
            return
        with self._resources:
            self._finish()

    def write(self, batch: np.ndarray) -> None:
        """Appends the descriptors of the next photos.

        Args:
            batch: (photos, dimension), converted to float32.

        Raises:
            UserError: a value is NaN or infinite; the photo is named.
            ValueError: the shape is wrong, or there are more rows than names.
        """
        batch = np.ascontiguousarray(batch, "<f4")
        if batch.ndim != 2 or batch.shape[1] != self.dimension:
            raise ValueError(
                f"`batch` must have shape (photos, {self.dimension}). "
                f"Received: shape {batch.shape}"
            )
        names = self.names[self._rows_written :][: len(batch)]
        if len(names) < len(batch):
            raise ValueError(
                f"`batch` has {len(batch)} rows, but only {len(names)} of "
                f"{len(self.names)} photos are left."
            )
        _check_finite(batch, names)
        self._file.write(batch.data)
        self._rows_written += len(batch)

    def _write_header(self) -> None:
        np.lib.format.write_array_header_1_0(
            self._file,
            {
                "descr": "<f4",
                "fortran_order": False,
                "shape": (len(self.names), self.dimension),
            },
        )

    def _finish(self) -> None:
        if self._rows_written != len(self.names):
            raise ValueError(
                f"{len(self.names)} descriptors were announced, "
                f"{self._rows_written} were written."
            )
        self._file.close()
        files.write_names(self._temporary / _NAMES, self.names)
        write_manifest(self._temporary, KIND, provenance=self.provenance)


def _check_finite(batch: np.ndarray, names: Sequence[str]) -> None:
    finite = np.isfinite(batch).all(axis=1)
    if not finite.all():
        name = names[int(np.argmin(finite))]
        raise UserError(
            f"The descriptor of {name!r} has a value that is not finite; "
            "check that photo and the weights of the model."
        )
