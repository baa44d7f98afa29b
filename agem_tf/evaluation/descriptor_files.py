"""Readers of descriptor files.

Descriptors of any origin can be scored: an array and, if its order is not that
of the ground truth, a list of names.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agem_tf.descriptors.descriptor_set import KIND as SET_KIND
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.errors import UserError
from agem_tf.files.arrays import load_array, read_names
from agem_tf.files.locations import is_remote, read_file
from agem_tf.files.manifest import MANIFEST
from agem_tf.files.portions import portions_in
from agem_tf.retrieval.indexes.directory_storage import KIND as INDEX_KIND
from agem_tf.retrieval.indexes.directory_storage import DirectoryStorage
from agem_tf.retrieval.indexes.exact_index import ExactIndex

# Rows whose length is checked.
_SAMPLE = 1000


def load_descriptors(
    path: str | os.PathLike, names: Sequence[str] | None = None
) -> DescriptorSet:
    """Loads a descriptor set, an index, or a plain array with its names.

    Args:
        path: a directory, local or remote, that a `DescriptorSet` was saved
            to; the directory of an exact index; or FILE.npy of (photos,
            dimension) L2-normalized descriptors, whose names are in FILE.txt
            beside it, one per line, or in names.txt beside descriptors.npy.
        names: names of the rows of a FILE.npy without such a list.

    Raises:
        UserError: a file is missing or damaged, does not fit the names, or
            holds no descriptors of unit length.
    """
    if is_remote(path):
        return DescriptorSet.load(path)
    path = Path(path)
    if path.suffix != ".npy":
        return _load_directory(path)
    descriptors = _load_rows(path)
    listed = path.with_suffix(".txt")
    # The array of a descriptor set or of an index, given by itself.
    if path.name == "descriptors.npy" and not listed.exists():
        listed = path.with_name("names.txt")
    if listed.exists():
        names = read_names(listed)
    if names is None:
        raise UserError(
            f"{path} has no names; write them into {listed.name} beside it, "
            "one per line."
        )
    if len(names) != len(descriptors):
        raise UserError(
            f"{path} has {len(descriptors)} rows for {len(names)} names; write "
            f"the names of its rows into {listed.name} beside it, one per line."
        )
    return DescriptorSet(names, descriptors)


def load_distractors(path: str | os.PathLike) -> DescriptorSet:
    """Loads descriptors as `load_descriptors` does; names are not needed.

    Raises:
        UserError: see `load_descriptors`.
    """
    names = None
    if Path(path).suffix == ".npy":
        rows = len(_load_rows(Path(path)))
        names = [f"distractor {row}" for row in range(rows)]
    return load_descriptors(path, names)


def _load_directory(path: Path) -> DescriptorSet:
    kind = _kind(path)
    if kind is None and not portions_in(path):
        parts = sorted(p.name for p in path.glob("*") if _kind(p) == SET_KIND)
        if parts:
            raise UserError(
                f"{path} holds no descriptors, but its folders do: "
                f"{', '.join(parts)}. Give one of them, such as "
                f"{path / parts[0]}."
            )
    if kind != INDEX_KIND:
        return DescriptorSet.load(path)
    stored = DirectoryStorage(str(path)).open()
    if not isinstance(stored.index, ExactIndex):
        raise UserError(
            f"{path} is an index of kind {stored.index.factory}, which keeps "
            "no descriptors that can be scored; give an exact index, or "
            "extract the photos."
        )
    return DescriptorSet(
        stored.index.names(),
        stored.index.descriptors,
        stored.origin.provenance,
    )


def _kind(directory: Path) -> str | None:
    """Returns what the manifest says a directory holds, None without one."""
    try:
        return json.loads(read_file(directory / MANIFEST)).get("kind")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None


def _load_rows(path: Path) -> np.ndarray:
    if not path.is_file():
        raise UserError(
            f"There is no file {path}; give a directory of descriptors, or "
            "FILE.npy."
        )
    descriptors = load_array(path, mmap=True)
    if descriptors.ndim != 2 or descriptors.dtype.kind != "f":
        raise UserError(
            f"{path} must hold (photos, dimension) floats. Received: shape "
            f"{descriptors.shape} of {descriptors.dtype}"
        )
    lengths = np.linalg.norm(descriptors[:_SAMPLE].astype(np.float32), axis=1)
    # NaN is reported by the search, which names the photo.
    if np.any(np.abs(lengths - 1) > 0.01):
        raise UserError(
            f"{path} has rows of length {lengths.max():.3g}; descriptors are "
            "rows of unit length, one per photo: transpose or normalize them."
        )
    return descriptors
