"""Index in a directory that contains everything a search needs.

INDEX/
  manifest.json     kind, dimension, provenance, checksum of every file
  names.txt         one photo per line, relative to the folder in the manifest
  descriptors.npy   for an exact index
  vectors.faiss     for a FAISS index, with ids.npy
  model/            SavedModel that extracts descriptors of further photos
  whitening/        whitening applied by the model, if any

Changes are atomic: a copy is written and then replaces the directory.
"""

import contextlib
import dataclasses
import fcntl
import os
import pathlib
import shutil
from collections.abc import Iterator

from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.errors import UserError
from agem_tf.files.atomic_writing import atomic_directory
from agem_tf.files.manifest import MANIFEST, read_manifest, write_manifest
from agem_tf.retrieval.indexes import exact_index
from agem_tf.retrieval.indexes.descriptor_index import DescriptorIndex
from agem_tf.retrieval.indexes.exact_index import ExactIndex
from agem_tf.retrieval.indexes.faiss_index import FaissIndex
from agem_tf.retrieval.indexes.storage import (
    Draft,
    Origin,
    Storage,
    StoredIndex,
)

KIND = "index"
_MODEL = "model"
_WHITENING = "whitening"
_SCRATCH = "scratch"


class DirectoryStorage(Storage):
    """Storage of an index in the directory `path`."""

    def __init__(self, path: str):
        self._path = pathlib.Path(path)

    @property
    def exists(self) -> bool:
        return (self._path / MANIFEST).exists()

    def check(self, factory: str, dimension: int, count: int) -> None:
        index = _empty_index(factory, dimension)
        if isinstance(index, FaissIndex):
            index.check_cells(count)

    def open(self) -> StoredIndex:
        manifest = read_manifest(self._path, KIND, verify=True)
        model, whitening = self._path / _MODEL, self._path / _WHITENING
        try:
            factory, dimension = manifest["factory"], manifest["dimension"]
            origin = Origin(
                manifest["provenance"],
                manifest["photos"],
                model if model.exists() else None,
                LinearWhitening.load(whitening) if whitening.exists() else None,
            )
        except KeyError as error:
            raise UserError(
                f"The manifest of {self._path} has no {error}; index the "
                "photos again."
            ) from error
        if factory == exact_index.FACTORY:
            index = ExactIndex.load(self._path, dimension)
        else:
            index = FaissIndex.load(self._path, factory, dimension)
        return StoredIndex(str(self._path), index, origin)

    @contextlib.contextmanager
    def created(self) -> Iterator[Draft]:
        with (
            self._exclusive(),
            atomic_directory(self._path, KIND) as temporary,
        ):
            draft = _DirectoryDraft(temporary)
            draft.scratch.mkdir()
            yield draft
            _write(temporary, draft.index, draft.origin)

    @contextlib.contextmanager
    def changed(self) -> Iterator[StoredIndex]:
        with self._exclusive():
            stored = self.open()
            with atomic_directory(self._path, KIND) as temporary:
                scratch = temporary / _SCRATCH
                scratch.mkdir()
                yield dataclasses.replace(stored, scratch=scratch)
                for part in (_MODEL, _WHITENING):
                    if (self._path / part).exists():
                        shutil.copytree(
                            self._path / part,
                            temporary / part,
                            copy_function=_link_or_copy,
                        )
                _write(temporary, stored.index, stored.origin)

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Locks the directory itself, so that no lock file is left in it.

        Raises:
            UserError: another process is changing the index, or has just
                replaced it.
        """
        if not self._path.exists():
            yield
            return
        descriptor = os.open(self._path, os.O_RDONLY)
        try:
            is_locked = True
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                # Other errors are those of a file system without locks.
                is_locked = not isinstance(error, BlockingIOError)
            is_current = self._path.exists() and os.path.samestat(
                os.fstat(descriptor), self._path.stat()
            )
            if not (is_locked and is_current):
                raise UserError(
                    f"Another process is changing {self._path}; try again "
                    "when it has finished."
                )
            yield
        finally:
            os.close(descriptor)


class _DirectoryDraft(Draft):
    def __init__(self, directory: pathlib.Path):
        self.scratch = directory / _SCRATCH
        self.model = directory / _MODEL

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


def _write(
    directory: pathlib.Path, index: ExactIndex | FaissIndex, origin: Origin
) -> None:
    index.save(directory)
    shutil.rmtree(directory / _SCRATCH)
    if origin.whitening is not None and not (directory / _WHITENING).exists():
        origin.whitening.save(directory / _WHITENING)
    write_manifest(
        directory,
        KIND,
        factory=index.factory,
        dimension=index.dimension,
        photos=origin.photos,
        provenance=origin.provenance,
    )


def _link_or_copy(source: str, target: str) -> None:
    """Copies a file that never changes, as a hard link where possible."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
