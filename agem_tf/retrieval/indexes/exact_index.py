"""Exact index: every query is compared with every descriptor.

It is the default and needs no tuning for up to a million photos: rows are read
from a memory map at the speed of the disk or of the memory.

The rows are in segments, files that never change. Added photos are a new
segment, which is joined with earlier ones that are not larger, so that there
are few of them and a large one is hardly ever written again. Removed photos are
listed beside their segment until half of it is gone.
"""

import dataclasses
import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import Self

import numpy as np

from agem_tf.errors import UserError
from agem_tf.files import arrays
from agem_tf.files.rows import (
    RowsView,
    SelectedRows,
    StackedRows,
    write_rows,
)
from agem_tf.retrieval import nearest
from agem_tf.retrieval.indexes.descriptor_index import DescriptorIndex, Match
from agem_tf.retrieval.indexes.photo_lines import new_folder
from agem_tf.retrieval.indexes.photo_names import PhotoNames

FACTORY = "exact"
# The only segment of an index of format 1, to which nothing was added.
ONLY_SEGMENT = {"rows": "descriptors.npy", "names": "names.txt"}
FIRST_SEGMENT = {**ONLY_SEGMENT, "places": "places.npy"}
# Up to so many removed photos are searched too and left out afterwards, which
# is faster than to gather the others.
_MOST_SEARCHED_GHOSTS = 1000


@dataclasses.dataclass
class _Segment:
    """Some photos of an index.

    Attributes:
        names: their names.
        rows: (photos, dimension) their descriptors.
        removed: (photos,) whether each was removed.
        half: whether all descriptors are in half precision.
        files: the files that hold them, empty if they are not saved.
    """

    names: PhotoNames
    rows: np.ndarray
    removed: np.ndarray
    half: bool
    files: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def kept(self) -> int:
        return len(self.names) - int(self.removed.sum())


class ExactIndex(DescriptorIndex):
    """Index of a matrix; photos of equal similarity keep their order."""

    def __init__(self, dimension: int):
        super().__init__(FACTORY, dimension)
        self._segments: list[_Segment] = []
        self._arrange()

    def __len__(self) -> int:
        return len(self._removed) - self.ghosts

    @property
    def ghosts(self) -> int:
        """See `DescriptorIndex`."""
        return self._ghosts

    def names(self) -> list[str]:
        if self._names is None:
            names = [n for part in self._segments for n in part.names.all()]
            if self.ghosts:
                kept = np.flatnonzero(~self._removed)
                names = [names[row] for row in kept]
            self._names = names
        return self._names

    @property
    def descriptors(self) -> np.ndarray | RowsView:
        """(photos, dimension), a memory map or a view of several."""
        if not self.ghosts:
            return self._rows
        return SelectedRows(self._rows, np.flatnonzero(~self._removed))

    def descriptor(self, name: str) -> np.ndarray | None:
        row = self._places([name]).get(name)
        return None if row is None else np.asarray(self._rows[row], np.float32)

    def descriptors_of(self, names: Sequence[str]) -> np.ndarray:
        places = self._places(names)
        rows = np.array([places[name] for name in names], np.int64)
        return np.asarray(self._rows[rows], np.float32)

    def known(self, names: Collection[str]) -> set[str]:
        return set(self._places(names))

    def save(self, directory: pathlib.Path) -> list[dict[str, str]]:
        """Writes the segments that are not in the directory of the index yet.

        Returns:
            The files of each segment, relative to the directory.
        """
        self._join_small_segments()
        for segment in self._segments:
            if not segment.files:
                self._save_segment(segment, directory)
            elif segment.removed.any() and "removed" not in segment.files:
                file = f"{new_folder(directory)}/removed.npy"
                gone = np.flatnonzero(segment.removed)
                arrays.write_array(directory / file, gone)
                segment.files["removed"] = file
        return [segment.files for segment in self._segments]

    @classmethod
    def load(
        cls,
        directory: pathlib.Path,
        dimension: int,
        segments: Sequence[Mapping[str, str]] = (ONLY_SEGMENT,),
    ) -> Self:
        """Opens an index written by `save`.

        Args:
            directory: directory of the index.
            dimension: dimension of the descriptors.
            segments: what `save` returned.

        Raises:
            UserError: a file is missing or damaged.
        """
        index = cls(dimension)
        for files in segments:
            rows = arrays.load_array(directory / files["rows"], mmap=True)
            names = PhotoNames.open(directory, files)
            removed = np.zeros(len(names), bool)
            shape = len(names), dimension
            if rows.shape != shape or rows.dtype.kind != "f":
                raise UserError(
                    f"{directory / files['rows']} holds {rows.shape} of "
                    f"{rows.dtype} instead of {shape} floats; index the photos "
                    "again."
                )
            if "removed" in files:
                path = directory / files["removed"]
                try:
                    removed[arrays.load_array(path)] = True
                except IndexError as error:
                    raise UserError(
                        f"{path} does not fit the {len(names)} photos; index "
                        "the photos again."
                    ) from error
            half = rows.dtype == np.float16
            segment = _Segment(names, rows, removed, half, dict(files))
            index._segments.append(segment)
        index._arrange()
        return index

    def _add(self, names: list[str], descriptors: np.ndarray) -> None:
        removed = np.zeros(len(names), bool)
        half = getattr(descriptors, "dtype", None) == np.float16
        self._segments.append(
            _Segment(PhotoNames(names), descriptors, removed, half)
        )
        self._arrange()

    def _remove(self, names: set[str]) -> None:
        for segment in self._segments:
            rows = list(segment.names.rows_of(names).values())
            if not segment.removed[rows].all():
                segment.removed = segment.removed.copy()
                segment.removed[rows] = True
                segment.files.pop("removed", None)
        self._arrange()

    def _rename(self, names: Mapping[str, str]) -> None:
        places = self._places(names)
        olds = sorted(names, key=places.__getitem__)
        descriptors = self.descriptors_of(olds)
        self._remove(set(names))
        self._add([names[old] for old in olds], descriptors)

    def _search(self, queries: np.ndarray, top: int) -> list[list[Match]]:
        if self.ghosts > _MOST_SEARCHED_GHOSTS:
            kept = np.flatnonzero(~self._removed)
            return self._nearest(queries, kept, top)
        indices, similarities = nearest.nearest(
            queries, self._rows, top + self.ghosts
        )
        return [
            self._matches(found[alive][:top], values[alive][:top])
            for found, values, alive in zip(
                indices, similarities, ~self._removed[indices], strict=True
            )
        ]

    def _search_among(
        self, queries: np.ndarray, top: int, names: Collection[str]
    ) -> list[list[Match]]:
        kept = np.sort(list(self._places(names).values()))
        if not kept.size:
            return [[] for _ in queries]
        return self._nearest(queries, kept, top)

    def _nearest(
        self, queries: np.ndarray, kept: np.ndarray, top: int
    ) -> list[list[Match]]:
        """Searches the rows `kept` only."""
        rows = SelectedRows(self._rows, kept)
        indices, similarities = nearest.nearest(queries, rows, top)
        return [
            self._matches(kept[found], values)
            for found, values in zip(indices, similarities, strict=True)
        ]

    def _matches(self, rows: np.ndarray, values: np.ndarray) -> list[Match]:
        parts = np.searchsorted(self._firsts, rows, side="right") - 1
        return [
            Match(
                self._segments[part].names[int(row - self._firsts[part])],
                float(value),
            )
            for part, row, value in zip(parts, rows, values, strict=True)
        ]

    def _places(self, names: Collection[str]) -> dict[str, int]:
        """Returns the rows of those of some photos that are here, by name."""
        places = {}
        for first, segment in zip(self._firsts, self._segments, strict=True):
            found = segment.names.rows_of(names)
            places |= {
                name: first + row
                for name, row in found.items()
                if not segment.removed[row]
            }
        return places

    def _arrange(self) -> None:
        """Joins the segments in memory, as views."""
        self._names: list[str] | None = None
        parts = self._segments
        self._removed = np.concatenate(
            [np.zeros(0, bool), *(part.removed for part in parts)]
        )
        self._ghosts = int(self._removed.sum())
        # The first row of each segment.
        self._firsts = np.cumsum([0, *(len(part.names) for part in parts)])[:-1]
        if len(parts) == 1:
            self._rows = parts[0].rows
        elif parts:
            self._rows = StackedRows([part.rows for part in parts])
        else:
            self._rows = np.empty((0, self.dimension), np.float32)

    def _join_small_segments(self) -> None:
        """Prepares segments to be written again where that saves reading."""
        self._segments = [s for s in self._segments if s.kept]
        for number, segment in enumerate(self._segments):
            # What is written for the first time has no list of removed photos.
            most = 2 * segment.kept if segment.files else segment.kept
            if most < len(segment.names):
                self._segments[number] = _joined([segment])
        while len(self._segments) > 1:
            first, second = self._segments[-2:]
            if second.files or first.kept > second.kept:
                break
            self._segments[-2:] = [_joined([first, second])]
        self._arrange()

    def _save_segment(self, segment: _Segment, directory: pathlib.Path) -> None:
        is_first = len(self._segments) == 1 and not any(
            (directory / file).exists() for file in FIRST_SEGMENT.values()
        )
        place = "" if is_first else f"{new_folder(directory)}/"
        files = {role: place + file for role, file in FIRST_SEGMENT.items()}
        write_rows(
            directory / files["rows"],
            (block for _, block in nearest.row_blocks(segment.rows)),
            self.dimension,
            np.float16 if segment.half else np.float32,
        )
        segment.names.save(directory, files)
        segment.files = files


def _joined(segments: Sequence[_Segment]) -> _Segment:
    """Returns what is left of some segments as a new one."""
    names, rows = [], []
    for segment in segments:
        if not segment.removed.any():
            names += segment.names.all()
            rows.append(segment.rows)
            continue
        kept = np.flatnonzero(~segment.removed)
        names += map(segment.names.all().__getitem__, kept)
        rows.append(SelectedRows(segment.rows, kept))
    joined = rows[0] if len(rows) == 1 else StackedRows(rows)
    half = all(segment.half for segment in segments)
    return _Segment(PhotoNames(names), joined, np.zeros(len(names), bool), half)


def check_all_descriptors(index: DescriptorIndex) -> None:
    """Checks that an index has the descriptors of all photos at hand.

    Raises:
        UserError: it is approximate, or in Milvus.
    """
    if not isinstance(index, ExactIndex):
        raise UserError(
            "Re-ranking by descriptors needs all of them; index with "
            "--factory=exact in a directory, or give --rerank=verify alone."
        )
