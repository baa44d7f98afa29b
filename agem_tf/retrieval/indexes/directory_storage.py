"""Index in a directory that contains everything a search needs.

INDEX/
  manifest.json     kind, dimension, provenance, files and their checksums
  names.txt         one photo per line, relative to the folder in the manifest
  places.npy        where each name is in names.txt, and how it is found
  descriptors.npy   for an exact index
  vectors.faiss     for a FAISS index, with ids.npy, and vectors.lists if large
  segments/         the same files of later additions, those of few photos to a
                    FAISS index as for an exact one; removed photos; sizes,
                    times, hashes and metadata of the photos
  model/            SavedModel that extracts descriptors of further photos
  whitening/        whitening applied by the model, if any

A change writes new files and then replaces the manifest; see
`files.changing_directories`.
"""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.errors import UserError
from agem_tf.files.atomic_writing import atomic_directory, resumable_workspace
from agem_tf.files.changing_directories import (
    exclusive_change,
    read_changing,
    replace_manifest,
)
from agem_tf.files.manifest import MANIFEST, read_manifest, write_manifest
from agem_tf.retrieval.indexes import exact_index, faiss_index
from agem_tf.retrieval.indexes.descriptor_index import DescriptorIndex
from agem_tf.retrieval.indexes.exact_index import ExactIndex
from agem_tf.retrieval.indexes.faiss_index import FaissIndex
from agem_tf.retrieval.indexes.photo_lines import SEGMENTS
from agem_tf.retrieval.indexes.photo_metadata import PhotoMetadata
from agem_tf.retrieval.indexes.photo_states import PhotoStates
from agem_tf.retrieval.indexes.storage import (
    Draft,
    Origin,
    Storage,
    StoredIndex,
)

KIND = "index"
# Format of a changed index; format 1 has a single segment and no states.
_FORMAT = 2
# Of a descriptor; networks have at most a few thousand.
_MOST_DIMENSIONS = 1 << 20
# Entries of the manifest that list files of lines about photos.
_LINES = {"states": PhotoStates, "metadata": PhotoMetadata}
_MODEL = "model"
_WHITENING = "whitening"
_SCRATCH = "scratch"


class DirectoryStorage(Storage):
    """Storage of an index in the directory `path`."""

    def __init__(self, path: str):
        self._path = pathlib.Path(path)
        self._existed = self.exists

    @property
    def exists(self) -> bool:
        return (self._path / MANIFEST).exists()

    def check(self, factory: str, dimension: int, count: int) -> None:
        if ":" in factory:
            raise UserError(
                "Parameters after a colon, such as partition=FIELD, are for "
                "Milvus; leave them out, or give --index=milvus:ADDRESS. "
                f"Received: --factory={factory}"
            )
        index = _empty_index(factory, dimension)
        if isinstance(index, FaissIndex):
            index.check_cells(count)

    def open(self) -> StoredIndex:
        return read_changing(self._path, self._open)

    def stamp(self) -> tuple[int, ...] | None:
        with contextlib.suppress(OSError):
            found = os.stat(self._path / MANIFEST)
            return found.st_ino, found.st_mtime_ns, found.st_size
        return None

    @contextlib.contextmanager
    def created(self) -> Iterator[Draft]:
        with contextlib.ExitStack() as stack:
            if self.exists:
                stack.enter_context(exclusive_change(self._path))
                # What a killed change has left is not of another origin.
                with contextlib.suppress(UserError):
                    self._remove_unlisted()
            temporary = stack.enter_context(
                atomic_directory(self._path, KIND, alone=True)
            )
            if self.exists and not self._existed:
                raise UserError(
                    f"Another process has made an index at {self._path} "
                    "meanwhile; --add adds to it, --overwrite replaces it."
                )
            draft = _DirectoryDraft(temporary)
            draft.scratch.mkdir()
            yield draft
            _write(temporary, draft)
        self._existed = True

    @contextlib.contextmanager
    def changed(self) -> Iterator[StoredIndex]:
        if not self._path.is_dir():
            self.open()  # Raises.
        with exclusive_change(self._path):
            stored = self.open()
            try:
                yield stored
                self._commit(stored)
            finally:
                self._remove_unlisted()

    def workspace(self) -> contextlib.AbstractContextManager[pathlib.Path]:
        return resumable_workspace(self._path)

    def _open(self) -> StoredIndex:
        manifest = self._manifest()
        model, whitening = self._path / _MODEL, self._path / _WHITENING
        try:
            factory, dimension = manifest["factory"], manifest["dimension"]
            origin = Origin(
                manifest["provenance"],
                manifest["photos"],
                model if model.exists() else None,
                LinearWhitening.load(whitening) if whitening.exists() else None,
            )
            if factory == exact_index.FACTORY:
                segments = manifest.get("segments", [exact_index.ONLY_SEGMENT])
                index = ExactIndex.load(self._path, dimension, segments)
            else:
                listed = manifest.get("segments") or [faiss_index.ONLY_FILES]
                files, *recent = listed
                index = FaissIndex.load(
                    self._path, factory, dimension, files, recent
                )
        except (KeyError, TypeError) as error:
            raise UserError(
                f"The manifest of {self._path} has no {error}; index the "
                "photos again."
            ) from error
        counts = manifest.get("lines", {})
        states, metadata = (
            lines(self._path, manifest.get(role, []), counts.get(role))
            for role, lines in _LINES.items()
        )
        unreadable = dict(manifest.get("unreadable", {}))
        return StoredIndex(
            str(self._path), index, origin, states, unreadable, metadata
        )

    def _commit(self, stored: StoredIndex) -> None:
        """Writes what is new, then the manifest that lists it."""
        old = self._manifest()
        fields = _fields(self._path, stored)
        wanted = _segment_files(fields)
        kept = {
            file
            for file in old["files"]
            if file.split("/")[0] in (_MODEL, _WHITENING)
        }
        replace_manifest(
            self._path, SEGMENTS, old, wanted | kept, format=_FORMAT, **fields
        )

    def _manifest(self) -> dict[str, Any]:
        manifest = read_manifest(self._path, KIND, newest=_FORMAT)
        listed = manifest["files"].keys()
        if not (
            _is_well_formed(manifest) and _segment_files(manifest) <= listed
        ):
            raise UserError(
                f"The manifest of {self._path} is damaged; index the photos "
                "again."
            )
        return manifest

    def _remove_unlisted(self) -> None:
        """Removes files of killed changes and of replaced segments."""
        listed = self._manifest()["files"]
        firsts = {
            *exact_index.FIRST_SEGMENT.values(),
            *faiss_index.ALL_FILES.values(),
        }
        for file in firsts - listed.keys():
            (self._path / file).unlink(missing_ok=True)
        folders = {file.split("/")[1] for file in listed if "/" in file}
        for entry in (self._path / SEGMENTS).glob("*"):
            if entry.name in folders:
                continue
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink()


class _DirectoryDraft(Draft):
    def __init__(self, directory: pathlib.Path):
        self.scratch = directory / _SCRATCH
        self.model = directory / _MODEL
        self.states = PhotoStates(directory, [])
        self.metadata = PhotoMetadata(directory, [])
        self.unreadable = {}

    def start(
        self, factory: str, dimension: int, origin: Origin
    ) -> DescriptorIndex:
        self.origin = origin
        self.index = _empty_index(factory, dimension)
        return self.index


def _empty_index(factory: str, dimension: int) -> ExactIndex | FaissIndex:
    if factory == exact_index.FACTORY:
        return ExactIndex(dimension)
    return FaissIndex(factory, dimension)


def _write(directory: pathlib.Path, draft: _DirectoryDraft) -> None:
    fields = _fields(directory, draft)
    shutil.rmtree(directory / _SCRATCH)
    if draft.origin.whitening is not None:
        draft.origin.whitening.save(directory / _WHITENING)
    write_manifest(directory, KIND, **fields)


def _fields(
    directory: pathlib.Path, source: _DirectoryDraft | StoredIndex
) -> dict[str, Any]:
    """Writes the parts of an index and returns their entries of a manifest."""
    index = source.index
    segments = index.save(directory)
    present = index.names, len(index) + index.ghosts
    return {
        "factory": index.factory,
        "dimension": index.dimension,
        "photos": source.origin.photos,
        "provenance": source.origin.provenance,
        "unreadable": source.unreadable,
        "segments": segments,
        "states": source.states.save(directory, *present),
        "metadata": source.metadata.save(directory, *present),
        "lines": {
            "states": source.states.count,
            "metadata": source.metadata.count,
        },
    }


def _is_well_formed(manifest: dict[str, Any]) -> bool:
    """Returns whether the fields that are there have their types."""
    dimension = manifest.get("dimension", 1)
    segments = manifest.get("segments", [])
    lists = [manifest.get(role, []) for role in _LINES]
    if not all(isinstance(each, list) for each in (segments, *lists)):
        return False
    if not all(isinstance(segment, dict) for segment in segments):
        return False
    counts = manifest.get("lines", {})
    if not isinstance(counts, dict) or not all(
        type(count) is int for count in counts.values()
    ):
        return False
    files = [file for x in segments for file in x.values()]
    files += [file for each in lists for file in each]
    return (
        isinstance(manifest.get("factory", ""), str)
        and type(dimension) is int
        and 0 < dimension <= _MOST_DIMENSIONS
        and isinstance(manifest.get("photos"), str | None)
        and _is_noted(manifest.get("unreadable", {}))
        and all(isinstance(file, str) for file in files)
    )


def _is_noted(unreadable: Any) -> bool:
    """Returns whether these are reason, size and time of photos by name."""
    return isinstance(unreadable, dict) and all(
        isinstance(noted, list)
        and [type(value) for value in noted] == [str, int, int]
        for noted in unreadable.values()
    )


def _segment_files(manifest: dict[str, Any]) -> set[str]:
    segments = manifest.get("segments", [])
    files = {file for segment in segments for file in segment.values()}
    return files.union(*(manifest.get(role, []) for role in _LINES))
