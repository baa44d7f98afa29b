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
from agem_tf.files.rows import SelectedRows, StackedRows, write_rows
from agem_tf.retrieval import nearest
from agem_tf.retrieval.indexes.descriptor_index import DescriptorIndex, Match
from agem_tf.retrieval.indexes.photo_lines import new_folder

FACTORY = "exact"
_NAMES = "names.txt"
_ROWS = "descriptors.npy"
# The only segment of an index to which nothing was added.
FIRST_SEGMENT = {"rows": _ROWS, "names": _NAMES}
# Up to so many removed photos are searched too and left out afterwards, which
# is faster than to gather the others.
_MOST_SEARCHED_GHOSTS = 1000
# Lookups by name before a map of all names is made.
_MOST_SCANS = 8


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

    names: list[str]
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
        return len(self._names) - self.ghosts

    @property
    def ghosts(self) -> int:
        """See `DescriptorIndex`."""
        return int(self._removed.sum())

    def names(self) -> list[str]:
        if not self._removed.any():
            return self._names
        return [self._names[row] for row in np.flatnonzero(~self._removed)]

    @property
    def descriptors(self) -> np.ndarray:
        """(photos, dimension), a memory map where that is possible.

        Otherwise a copy, which is made once.
        """
        if len(self._segments) == 1 and not self.ghosts:
            return self._rows
        if self._gathered is None:
            self._gathered = self._rows[np.flatnonzero(~self._removed)]
        return self._gathered

    def descriptor(self, name: str) -> np.ndarray | None:
        row = self._places([name]).get(name)
        return None if row is None else np.asarray(self._rows[row], np.float32)

    def descriptors_of(self, names: Sequence[str]) -> np.ndarray:
        places = self._places(names)
        rows = np.array([places[name] for name in names], np.int64)
        return np.asarray(self._rows[rows], np.float32)

    def known(self, names: Collection[str]) -> set[str]:
        # Without a map, reading all names once is faster than making it.
        return set(names).intersection(self._rows_by_name or self.names())

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
        segments: Sequence[Mapping[str, str]] = (FIRST_SEGMENT,),
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
            names = arrays.read_names(directory / files["names"])
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
        self._segments.append(_Segment(names, descriptors, removed, half))
        self._arrange()

    def _remove(self, names: set[str]) -> None:
        for segment in self._segments:
            gone = np.fromiter((n in names for n in segment.names), bool)
            if (gone & ~segment.removed).any():
                segment.removed = segment.removed | gone
                segment.files.pop("removed", None)
        self._arrange()

    def _rename(self, names: Mapping[str, str]) -> None:
        kept = np.flatnonzero(~self._removed)
        rows = [row for row in kept if self._names[row] in names]
        new = [names[self._names[row]] for row in rows]
        descriptors = self._rows[np.array(rows)]
        self._remove(set(names))
        self._add(new, descriptors)

    def _search(self, queries: np.ndarray, top: int) -> list[list[Match]]:
        rows, wanted = self._rows, top + self.ghosts
        kept = np.arange(len(self._names))
        if self.ghosts > _MOST_SEARCHED_GHOSTS:
            kept, wanted = np.flatnonzero(~self._removed), top
            rows = SelectedRows(rows, kept)
        return self._nearest(queries, rows, kept, wanted, top)

    def _search_among(
        self, queries: np.ndarray, top: int, names: set[str]
    ) -> list[list[Match]]:
        listed = (name in names for name in self._names)
        wanted = np.fromiter(listed, bool, len(self._names))
        kept = np.flatnonzero(wanted & ~self._removed)
        if not kept.size:
            return [[] for _ in queries]
        rows = SelectedRows(self._rows, kept)
        return self._nearest(queries, rows, kept, top, top)

    def _nearest(
        self,
        queries: np.ndarray,
        rows: np.ndarray,
        kept: np.ndarray,
        wanted: int,
        top: int,
    ) -> list[list[Match]]:
        """Returns what is near in `rows`, the rows `kept` of the index."""
        indices, similarities = nearest.nearest(queries, rows, wanted)
        return [
            [
                Match(self._names[row], float(value))
                for row, value in zip(kept[found], values, strict=True)
                if not self._removed[row]
            ][:top]
            for found, values in zip(indices, similarities, strict=True)
        ]

    def _places(self, names: Collection[str]) -> dict[str, int]:
        """Returns the rows of photos, or of all, by name.

        A map of all takes ten times as long as to read all names once, and is
        made for a process that asks again and again.
        """
        if self._rows_by_name is not None:
            return self._rows_by_name
        self._scans += 1
        # A removed photo may have the same name.
        kept = self.names()
        rows = np.flatnonzero(~self._removed) if self.ghosts else None
        if self._scans > _MOST_SCANS:
            numbers = range(len(kept)) if rows is None else rows.tolist()
            self._rows_by_name = dict(zip(kept, numbers, strict=True))
            return self._rows_by_name
        if len(names) == 1:
            (name,) = names
            found = [kept.index(name)] if name in kept else []
        else:
            wanted = set(names)
            found = [row for row, name in enumerate(kept) if name in wanted]
        return {
            kept[place]: place if rows is None else int(rows[place])
            for place in found
        }

    def _arrange(self) -> None:
        """Joins the segments in memory, as views."""
        self._rows_by_name: dict[str, int] | None = None
        self._gathered: np.ndarray | None = None
        self._scans = 0
        parts = self._segments
        self._names = [name for part in parts for name in part.names]
        self._removed = np.concatenate(
            [np.zeros(0, bool), *(part.removed for part in parts)]
        )
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
        arrays.write_names(directory / files["names"], segment.names)
        segment.files = files


def _joined(segments: Sequence[_Segment]) -> _Segment:
    """Returns what is left of some segments as a new one."""
    names, rows = [], []
    for segment in segments:
        kept = np.flatnonzero(~segment.removed)
        names += [segment.names[row] for row in kept]
        rows.append(
            SelectedRows(segment.rows, kept)
            if segment.removed.any()
            else segment.rows
        )
    joined = rows[0] if len(rows) == 1 else StackedRows(rows)
    half = all(segment.half for segment in segments)
    return _Segment(names, joined, np.zeros(len(names), bool), half)
