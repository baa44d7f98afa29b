"""Descriptors of photo files, kept block by block while they are extracted.

A killed job, or one on a full disk, leaves its finished blocks in a hidden
directory. The next one takes from there every photo whose size and time are the
same and whose descriptor was made by the same model with the same settings.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import logging
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from agem_tf.descriptors.descriptor_set import DescriptorSet, check_finite
from agem_tf.errors import UserError
from agem_tf.files import arrays
from agem_tf.files.atomic_writing import atomic_file
from agem_tf.files.provenance import normalize_provenance
from agem_tf.files.rows import write_rows
from agem_tf.photos.listing import check_name
from agem_tf.retrieval.indexes.photo_states import PhotoState

if TYPE_CHECKING:
    from agem_tf.extraction.photo_files import FileExtractor

_LOG = logging.getLogger(__name__)

# Photos that a killed job may lose: most networks take less than a minute.
_BLOCK = 512
# Blocks that are mapped at a time: Linux allows a process 65,530 maps, which
# those of 33 million photos would exceed.
_MAPPED = 1024
_PATTERN = "block-*.json"
_ROWS = "described.npy"


class Unreadable(NamedTuple):
    """A photo that can't be read.

    Attributes:
        reason: the message.
        size, modified: those of `PhotoState`.
    """

    reason: str
    size: int
    modified: int


@dataclasses.dataclass
class Described:
    """Photos with their descriptors.

    Attributes:
        photos: names and descriptors.
        states: states of the files, in the order of the names.
        unreadable: photos that were left out, by path.
    """

    photos: DescriptorSet
    states: list[PhotoState]
    unreadable: dict[str, Unreadable]


def describe_photos(
    extractor: FileExtractor,
    paths: Sequence[str],
    root: str | None,
    workspace: pathlib.Path,
    others: Sequence[pathlib.Path] = (),
) -> Described:
    """Extracts descriptors of photo files; an interrupted call is resumed.

    Args:
        extractor: extracts the descriptors.
        paths: paths of the photos.
        root: folder that the names become relative to, if any.
        workspace: directory for the blocks and for all descriptors, which are
            mapped from there.
        others: directories with blocks of other processes.

    Raises:
        UserError: a descriptor is not finite, or other processes used another
            model or other settings.
    """
    blocks = _Blocks(workspace, extractor, others)
    states, unreadable = _describe_missing(extractor, paths, root, blocks)
    done = blocks.read()
    names = [photo_name(path, root) for path in states]
    rows = np.empty((0, extractor.dimension), np.float32)
    if names:
        # Without a photo, nothing is left in the workspace.
        rows = write_rows(
            workspace / _ROWS,
            (blocks.row(done[name])[np.newaxis] for name in names),
            extractor.dimension,
        )
    photos = DescriptorSet(names, rows, extractor.provenance)
    return Described(photos, [done[name].state for name in names], unreadable)


def describe_part(
    extractor: FileExtractor,
    paths: Sequence[str],
    root: str,
    workspace: pathlib.Path,
    first: int,
) -> tuple[int, dict[str, Unreadable]]:
    """Writes blocks of a part of the photos, for `describe_photos` elsewhere.

    Args:
        extractor, root: see `describe_photos`.
        paths: paths of the part.
        workspace: directory for the blocks.
        first: position of the part in the list of all photos, a multiple of the
            photos of a batch.

    Returns:
        Number of photos that have descriptors now, and those that can't be
        read, by path.

    Raises:
        UserError: a descriptor is not finite.
    """
    blocks = _Blocks(workspace, extractor)
    states, unreadable = _describe_missing(
        extractor, paths, root, blocks, first
    )
    return len(states), unreadable


def _describe_missing(
    extractor: FileExtractor,
    paths: Sequence[str],
    root: str | None,
    blocks: _Blocks,
    first: int = 0,
) -> tuple[dict[str, PhotoState], dict[str, Unreadable]]:
    """Completes the blocks; returns states of the photos, and those left out.

    Both are by path.
    """
    unreadable: dict[str, Unreadable] = {}
    states: dict[str, PhotoState] = {}
    names = {path: photo_name(path, root) for path in paths}

    def skip(path: str, error: Exception) -> None:
        size, modified, _ = states.pop(path, PhotoState(0, 0))
        unreadable[path] = Unreadable(str(error), size, modified)

    for path in paths:
        try:
            states[path] = PhotoState.of(path)
            check_name(path, "rename it")
        except (UserError, OSError) as error:
            skip(path, error)
    done = blocks.read()
    kept = {
        path
        for path, state in states.items()
        if names[path] in done and done[names[path]].state.is_like(state)
    }
    coming = {
        path: position
        for position, path in enumerate(paths, first)
        if path in states and path not in kept
    }
    if kept:
        _LOG.info("%d of %d photos are done", len(kept), len(states))
    if coming:
        try:
            for batch, rows in extractor.files(
                list(coming), skip, list(coming.values())
            ):
                check_finite(rows, batch)
                hashed = [states[path].hashed(path) for path in batch]
                blocks.append([names[path] for path in batch], hashed, rows)
        finally:
            blocks.flush()
    return states, unreadable


def photo_name(path: str, root: str | None) -> str:
    """Returns the name of a photo in an index of the folder `root`."""
    return path if root is None else os.path.relpath(path, root)


@dataclasses.dataclass(frozen=True)
class _Finished:
    """A photo of a block: the file of its rows, and its row."""

    state: PhotoState
    file: pathlib.Path
    row: int


class _Blocks:
    """Blocks of descriptors in a directory, of one model and its settings.

    Args:
        directory: the directory.
        extractor: extracts the descriptors.
        others: directories with blocks of other processes, which are read only.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        extractor: FileExtractor,
        others: Sequence[pathlib.Path] = (),
    ):
        self._directory = directory
        self._others = others
        self._made = normalize_provenance(extractor.provenance)
        self._names: list[str] = []
        self._states: list[PhotoState] = []
        self._rows: list[np.ndarray] = []
        present = len(list(directory.glob(_PATTERN)))
        self._numbers = itertools.count(present)
        self._mapped = functools.lru_cache(_MAPPED)(_mapped_rows)

    def read(self) -> dict[str, _Finished]:
        """Returns the finished photos by name; own and later blocks prevail.

        Raises:
            UserError: other processes used another model or other settings.
        """
        finished: dict[str, _Finished] = {}
        for directory in (*self._others, self._directory):
            files = sorted(directory.glob(_PATTERN))
            blocks = [list(self._read_block(file)) for file in files]
            if directory in self._others and files and not any(blocks):
                raise UserError(
                    f"{directory} was described by another model or with other "
                    "settings; give those, or remove it."
                )
            for name, found in itertools.chain.from_iterable(blocks):
                finished[name] = found
        return finished

    def row(self, finished: _Finished) -> np.ndarray:
        """Returns the (dimension,) descriptor of a finished photo."""
        return self._mapped(finished.file)[finished.row]

    def append(
        self, names: list[str], states: list[PhotoState], rows: np.ndarray
    ) -> None:
        self._names += names
        self._states += states
        self._rows.append(rows)
        if len(self._names) >= _BLOCK:
            self.flush()

    def flush(self) -> None:
        """Writes a block; its list, which makes it valid, comes last."""
        if not self._names:
            return
        listed = self._directory / f"block-{next(self._numbers):06}.json"
        with atomic_file(listed.with_suffix(".npy")) as temporary:
            write_rows(temporary, self._rows, self._rows[0].shape[1])
        block = {
            "provenance": self._made,
            "names": self._names,
            "states": self._states,
        }
        with atomic_file(listed) as temporary:
            temporary.write_text(json.dumps(block))
        self._names, self._states, self._rows = [], [], []

    def _read_block(
        self, file: pathlib.Path
    ) -> Iterator[tuple[str, _Finished]]:
        block: dict[str, Any] = json.loads(file.read_bytes())
        # Blocks of earlier releases have paths.
        if block["provenance"] != self._made or "names" not in block:
            return
        file = file.with_suffix(".npy")
        rows = range(len(self._mapped(file)))
        states = (PhotoState(*state) for state in block["states"])
        for name, state, row in zip(block["names"], states, rows, strict=True):
            yield name, _Finished(state, file, row)


def _mapped_rows(file: pathlib.Path) -> np.ndarray:
    rows = arrays.load_array(file, mmap=True)
    return np.asarray(rows)  # Slices of this type are made quickly.
