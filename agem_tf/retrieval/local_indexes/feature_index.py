"""Base of the indexes of local features: photos are stored in parts.

INDEX/
  manifest.json   kind, provenance, parts and the photos removed from them
  parts/          per part names.txt and arrays of its features
  words.npy       or trained.faiss: what was learned before the first photo

Photos that are added become a part of their own, which is joined with earlier
parts that are not twice as large; removed photos leave when their part is
joined, or when they are half of it. So there are few parts, and a large one is
hardly ever written again. See `files.changing_directories` for readers.
"""

import abc
import contextlib
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from agem_tf.descriptors.local_features import LocalFeatures, LocalFeatureSet
from agem_tf.errors import UserError
from agem_tf.files import arrays
from agem_tf.files.atomic_writing import atomic_directory
from agem_tf.files.changing_directories import (
    exclusive_change,
    read_changing,
    replace_manifest,
)
from agem_tf.files.manifest import read_manifest, write_manifest
from agem_tf.files.provenance import check_same_provenance

_PARTS, _NAMES = "parts", "names.txt"


@dataclass(eq=False)
class FeaturePart:
    """Photos of an index that were added or joined together.

    Attributes:
        names: names of the photos.
        kept: (photos,) bool, False for removed photos.
        arrays: what is stored of their features, by the name of the file.
        folder: where the part is stored in the directory of the index; None if
            it is not.
    """

    names: list[str]
    kept: np.ndarray
    arrays: dict[str, np.ndarray]
    folder: str | None = None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def present(self) -> list[str]:
        """Names of the photos that are not removed."""
        return [self.names[photo] for photo in np.flatnonzero(self.kept)]


class FeatureIndex(abc.ABC):
    """Photos with local features, ranked for the features of a query.

    Args:
        dimension: dimension of their descriptors.
        provenance: how the features were made; see `DescriptorSet`.
    """

    KIND: str
    # Names of the arrays of a part.
    ARRAYS: tuple[str, ...]

    def __init__(self, dimension: int, provenance: Mapping[str, Any]):
        self.dimension, self.provenance = dimension, dict(provenance)
        self._parts: list[FeaturePart] = []
        # What searches derive from the parts; None until the next one.
        self._searchable: Any = None

    def __len__(self) -> int:
        return sum(int(part.kept.sum()) for part in self._parts)

    @property
    def names(self) -> list[str]:
        """One unique name per photo."""
        return [name for part in self._parts for name in part.present]

    def add(self, features: LocalFeatureSet) -> int:
        """Adds the photos that the index lacks; returns their number.

        Raises:
            UserError: the features were made otherwise than those of the index,
                or have another dimension.
        """
        check_same_provenance(
            features.provenance,
            self.provenance,
            "the local features",
            "the index",
        )
        self._check_dimension(features)
        present = set(self.names)
        new = [name for name in features.names if name not in present]
        if new:
            self._searchable = None
            rows = self._arrays_of(features[name] for name in new)
            part = FeaturePart(new, np.ones(len(new), bool), rows)
            while self._parts and len(self._parts[-1]) < 2 * len(part):
                part = self._joined([self._parts.pop(), part])
            self._parts.append(part)
        return len(new)

    def remove(self, names: Sequence[str]) -> int:
        """Removes photos; returns their number.

        Raises:
            UserError: the index has no photo of one of the names.
        """
        gone, present = set(names), set(self.names)
        missing = [name for name in names if name not in present]
        if missing:
            raise UserError(
                f"The index has no photo {missing[0]!r}; give names as "
                "searches print them."
            )
        self._searchable = None
        for part in self._parts:
            part.kept = part.kept & [name not in gone for name in part.names]
        self._parts = [
            part if 2 * part.kept.sum() >= len(part) else self._joined([part])
            for part in self._parts
            if part.kept.any()
        ]
        return len(gone)

    @abc.abstractmethod
    def similarities(self, query: LocalFeatures) -> np.ndarray:
        """Compares a query with every photo.

        Args:
            query: its local features; without any, all similarities are 0.

        Returns:
            (photos,) float32, larger for more similar photos.

        Raises:
            UserError: the features have another dimension.
        """

    @property
    @abc.abstractmethod
    def num_bytes(self) -> int:
        """Number of bytes that the features take in memory."""

    def save(self, directory: str | os.PathLike) -> None:
        """Writes the index as a directory, which is replaced as a whole."""
        with atomic_directory(directory, self.KIND) as temporary:
            self._write_learned(temporary)
            fields = self._write_parts(temporary)
            write_manifest(temporary, self.KIND, **fields)

    @classmethod
    def load(cls, directory: str | os.PathLike) -> Self:
        """Reads what `save` wrote; arrays are mapped.

        Raises:
            UserError: the directory is missing, damaged or of another kind.
        """
        directory = Path(directory)

        def read() -> Self:
            manifest = read_manifest(directory, cls.KIND)
            return cls._read(directory, manifest, searches=True)

        return read_changing(directory, read)

    @classmethod
    @contextlib.contextmanager
    def changed(cls, directory: str | os.PathLike) -> Iterator[Self]:
        """Yields the index of a directory, and writes what the block changes.

        Raises:
            UserError: see `load`, or another process is changing the index.
        """
        directory = Path(directory)
        with exclusive_change(directory):
            old = read_manifest(directory, cls.KIND)
            index = cls._read(directory, old, searches=False)
            try:
                yield index
                fields = index._write_parts(directory)
                learned = {f for f in old["files"] if "/" not in f}
                files = {
                    f"{part.folder}/{file}"
                    for part in index._parts
                    for file in (_NAMES, *cls.ARRAYS)
                }
                replace_manifest(
                    directory, _PARTS, old, learned | files, **fields
                )
            finally:
                _remove_unlisted(directory, cls.KIND)

    @classmethod
    def _read(
        cls, directory: Path, manifest: dict[str, Any], searches: bool
    ) -> Self:
        """Reads an index; a change needs no look at all of its values."""
        index = cls._read_learned(directory, manifest)
        for entry in _entries_of(directory, manifest):
            folder = directory / entry["folder"]
            names = arrays.read_names(folder / _NAMES)
            rows = {
                file: arrays.load_array(folder / file, mmap=True)
                for file in cls.ARRAYS
            }
            photos = range(len(names))
            if not index._fit(rows, len(names), searches) or not all(
                photo in photos for photo in entry["removed"]
            ):
                raise _torn(directory)
            kept = np.ones(len(names), bool)
            kept[entry["removed"]] = False
            index._parts.append(FeaturePart(names, kept, rows, entry["folder"]))
        if len(set(index.names)) != len(index):
            raise _torn(directory)
        return index

    def _write_parts(self, directory: Path) -> dict[str, Any]:
        """Writes the parts that are not stored; returns manifest entries."""
        stored = []
        for part in self._parts:
            folder = part.folder
            if folder is None or not (directory / folder).is_dir():
                # No reader has ever seen a folder of this name.
                folder = f"{_PARTS}/{uuid.uuid4().hex}"
                (directory / folder).mkdir(parents=True)
                arrays.write_names(directory / folder / _NAMES, part.names)
                for file, rows in part.arrays.items():
                    arrays.write_array(directory / folder / file, rows)
                part.folder = folder
            removed = np.flatnonzero(~part.kept).tolist()
            stored.append({"folder": folder, "removed": removed})
        return {
            "parts": stored,
            "provenance": self.provenance,
            **self._settings(),
        }

    @abc.abstractmethod
    def _settings(self) -> dict[str, Any]:
        """Returns further entries of the manifest."""

    @abc.abstractmethod
    def _write_learned(self, directory: Path) -> None:
        """Writes what is learned before photos are added."""

    @classmethod
    @abc.abstractmethod
    def _read_learned(cls, directory: Path, manifest: dict[str, Any]) -> Self:
        """Returns an empty index.

        Raises:
            UserError: the files hold something else.
        """

    @abc.abstractmethod
    def _arrays_of(
        self, features: Iterable[LocalFeatures]
    ) -> dict[str, np.ndarray]:
        """Returns the arrays of a part."""

    @abc.abstractmethod
    def _fit(
        self, rows: Mapping[str, np.ndarray], photos: int, thoroughly: bool
    ) -> bool:
        """Returns whether these are arrays of a part of so many photos.

        Args:
            rows: the arrays by the names of their files.
            photos: number of photos of the part.
            thoroughly: whether to look at all of their values.
        """

    @abc.abstractmethod
    def _joined(self, parts: Sequence[FeaturePart]) -> FeaturePart:
        """Returns one part of the photos of parts that are not removed."""

    def _check_dimension(
        self, features: LocalFeatures | LocalFeatureSet
    ) -> None:
        if features.dimension != self.dimension:
            raise UserError(
                f"The index is of local features of {self.dimension} "
                f"dimensions, not {features.dimension}; extract all with the "
                "same settings."
            )


def _entries_of(directory: Path, manifest: Mapping[str, Any]) -> list[dict]:
    """Returns the entries of the parts in a manifest that is not trusted."""
    entries = manifest.get("parts")
    folders = {file.rpartition("/")[0] for file in manifest["files"]}
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict)
        and isinstance(entry.get("folder"), str)
        and entry["folder"] in folders - {""}
        and isinstance(entry.get("removed"), list)
        and all(type(photo) is int for photo in entry["removed"])
        for entry in entries
    ):
        raise _torn(directory)
    return entries


def _torn(directory: Path) -> UserError:
    return UserError(
        f"The files of {directory} do not belong together; make the index "
        "again by agem_tf.aggregate."
    )


def _remove_unlisted(directory: Path, kind: str) -> None:
    """Removes parts that were joined, and those of killed changes."""
    listed = {
        Path(file).parts[1]
        for file in read_manifest(directory, kind)["files"]
        if "/" in file
    }
    for entry in (directory / _PARTS).glob("*"):
        if entry.is_dir() and entry.name not in listed:
            shutil.rmtree(entry, ignore_errors=True)
        elif not entry.is_dir():
            entry.unlink()
