"""Positives and junk photos of each query of a benchmark.

The JSON form has the keys of the revisited Oxford and Paris ground truth
(https://arxiv.org/abs/1803.11285), so that benchmark and private photos are
scored by the same code.
"""

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Self

import numpy as np

from agem_tf.errors import UserError
from agem_tf.files.atomic_writing import atomic_file
from agem_tf.files.locations import as_location, read_file

_SETS = ("easy", "hard", "junk")
# Elements of a list that are written at once.
_PIECE = 50_000


@dataclass(eq=False)
class QueryTruth:
    """Positives and junk photos of one query.

    Attributes:
        easy: int64 database indices of clearly visible positives.
        hard: int64 database indices of difficult positives.
        junk: int64 database indices that count neither for nor against.
        box: (x1, y1, x2, y2) in pixels of the query photo, which is cropped
            to it; None for the whole photo.
        is_answerable: whether the query shows something that has positives,
            also if the database lacks them all; by default whether it has any.
    """

    easy: np.ndarray
    hard: np.ndarray
    junk: np.ndarray
    box: tuple[float, float, float, float] | None = None
    is_answerable: bool | None = None

    def __post_init__(self) -> None:
        for name in _SETS:
            setattr(self, name, _indices(getattr(self, name), name))
        if self.is_answerable is None:
            self.is_answerable = bool(len(self.positives))
        if self.box is not None:
            self.box = _checked_box(self.box)

    @property
    def positives(self) -> np.ndarray:
        """Database indices of easy and hard photos."""
        return np.concatenate([self.easy, self.hard])

    @property
    def labelled(self) -> np.ndarray:
        """Database indices of easy, hard and junk photos."""
        return np.concatenate([self.easy, self.hard, self.junk])


class LandmarkQueries(Sequence[QueryTruth]):
    """Queries of a labelled database: each photo searches for its landmark.

    The query itself is junk. Positives are listed when a query is read: all
    lists together grow with the square of the photos of a landmark.

    Args:
        labels: (photos,) landmark of each photo, integers or strings.
        boxes: (photos, 4) x1, y1, x2, y2 in pixels of each query; all zeros
            for the whole photo.
        answerable: (photos,) bool; see `QueryTruth`.

    Raises:
        UserError: a box has no area.

    Attributes:
        landmarks: (photos,) int64, a number from 0 per landmark.
        boxes, answerable: as above.
    """

    def __init__(
        self,
        labels: Sequence[object],
        boxes: np.ndarray,
        answerable: np.ndarray | None = None,
    ):
        _, self.landmarks, counts = np.unique(
            np.asarray(labels), return_inverse=True, return_counts=True
        )
        self.boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        given = self.boxes[self.boxes.any(axis=1)]
        for box in given[~(given[:, :2] < given[:, 2:]).all(axis=1)]:
            _checked_box(box)  # Raises.
        if answerable is None:
            answerable = counts[self.landmarks] > 1
        self.answerable = np.asarray(answerable, bool)
        photos = np.argsort(self.landmarks, kind="stable")
        self._photos_of = np.split(photos, np.cumsum(counts)[:-1])

    def __len__(self) -> int:
        return len(self.landmarks)

    def __getitem__(self, photo: int) -> QueryTruth:
        same = self._photos_of[self.landmarks[photo]]
        photo %= len(self)
        box = self.boxes[photo]
        return QueryTruth(
            same[same != photo],
            [],
            [photo],
            box if box.any() else None,
            bool(self.answerable[photo]),
        )

    @classmethod
    def joined(cls, parts: Sequence["LandmarkQueries"]) -> Self:
        """Concatenates queries of different landmarks."""
        numbers = [part.landmarks.max(initial=-1) + 1 for part in parts]
        firsts = np.cumsum([0, *numbers[:-1]])
        pairs = zip(parts, firsts, strict=True)
        return cls(
            np.concatenate([part.landmarks + first for part, first in pairs]),
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.answerable for part in parts]),
        )

    def restricted_to(self, present: np.ndarray) -> tuple[Self, int]:
        """Returns the queries of present photos, and their lost positives.

        Args:
            present: (photos,) bool.
        """
        kept = type(self)(
            self.landmarks[present],
            self.boxes[present],
            self.answerable[present],
        )
        before = np.bincount(self.landmarks)
        after = np.bincount(self.landmarks[present], minlength=len(before))
        return kept, int((after * (before - after)).sum())


@dataclass(eq=False)
class GroundTruth:
    """Photos and queries of a benchmark.

    Queries may be database photos; then their own photo should be junk.

    Attributes:
        database_names: photos to which the indices of the queries point.
        query_names: photos that are the queries.
        queries: positives and junk of each query, a list or `LandmarkQueries`
            of the database.

    Raises:
        UserError: an index is outside the database or in two sets of a query.
    """

    database_names: Sequence[str]
    query_names: Sequence[str]
    queries: Sequence[QueryTruth]

    def __post_init__(self) -> None:
        self.database_names = list(self.database_names)
        self.query_names = list(self.query_names)
        if not isinstance(self.queries, LandmarkQueries):
            self.queries = list(self.queries)
        if len(self.query_names) != len(self.queries):
            raise UserError(
                f"Ground truth names {len(self.query_names)} queries, but "
                f"has positives of {len(self.queries)}."
            )
        if isinstance(self.queries, LandmarkQueries):
            if self.query_names != self.database_names:
                raise UserError(
                    "The queries of landmarks are all photos of the database, "
                    "in its order."
                )
            return
        for name, query in zip(self.query_names, self.queries, strict=True):
            _check_query(name, query, len(self.database_names))

    @property
    def has_boxes(self) -> bool:
        """Whether any query is a box in its photo."""
        if isinstance(self.queries, LandmarkQueries):
            return bool(self.queries.boxes.any())
        return any(query.box is not None for query in self.queries)

    @classmethod
    def from_labels(
        cls,
        names: Sequence[str],
        labels: Sequence[object],
        boxes: np.ndarray | None = None,
    ) -> Self:
        """Makes every photo a query that should find its own landmark.

        The query itself is junk, the other photos of its landmark are easy.
        Protocols skip the only photo of a landmark.

        Args:
            names: names of the photos.
            labels: (photos,) landmark of each photo, integers or strings.
            boxes: (photos, 4) x1, y1, x2, y2 in pixels of each query; all
                zeros for the whole photo.
        """
        if boxes is None:
            boxes = np.zeros((len(names), 4))
        if not len(names) == len(labels) == len(boxes):
            raise UserError(
                f"Each photo needs one label and one box. Received: "
                f"{len(names)} names, {len(labels)} labels, {len(boxes)} boxes"
            )
        return cls(names, names, LandmarkQueries(labels, boxes))

    @classmethod
    def joined(cls, parts: Sequence["GroundTruth"]) -> Self:
        """Concatenates databases; queries keep their positives and junk."""
        if all(isinstance(part.queries, LandmarkQueries) for part in parts):
            names = [name for part in parts for name in part.database_names]
            return cls(
                names,
                names,
                LandmarkQueries.joined([part.queries for part in parts]),
            )
        database, names, queries = [], [], []
        for part in parts:
            start = len(database)
            database += part.database_names
            names += part.query_names
            queries += [
                QueryTruth(
                    *(getattr(query, name) + start for name in _SETS),
                    box=query.box,
                    is_answerable=query.is_answerable,
                )
                for query in part.queries
            ]
        return cls(database, names, queries)

    def restricted_to(
        self, names: Collection[str]
    ) -> tuple[Self, dict[str, int]]:
        """Removes photos that are missing.

        Args:
            names: Photos that are present, of the database and the queries.

        Returns:
            The ground truth of those photos, and how many "queries", and easy
            and hard "positives" of the remaining queries, are lost.
        """
        if names == self.database_names == self.query_names:
            return self, {"queries": 0, "positives": 0}
        kept = set(names)
        present = np.array([name in kept for name in self.database_names], bool)
        database = [name for name in self.database_names if name in kept]
        if isinstance(self.queries, LandmarkQueries):
            left, positives = self.queries.restricted_to(present)
            return type(self)(database, database, left), {
                "queries": len(self.queries) - len(left),
                "positives": positives,
            }
        position = np.cumsum(present) - 1
        remaining, queries, positives = [], [], 0
        for name, query in zip(self.query_names, self.queries, strict=True):
            if name not in kept:
                continue
            remaining.append(name)
            sets = (
                position[old[present[old]]]
                for old in (query.easy, query.hard, query.junk)
            )
            queries.append(
                QueryTruth(
                    *sets, box=query.box, is_answerable=query.is_answerable
                )
            )
            positives += len(query.positives) - len(queries[-1].positives)
        return type(self)(database, remaining, queries), {
            "queries": len(self.queries) - len(queries),
            "positives": positives,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Reads {"imlist", "qimlist", "gnd": [{"bbx", "easy", ...}]}.

        Or {"imlist", "labels", "boxes", "answerable"} of `LandmarkQueries`,
        which are all photos.

        Raises:
            UserError: a key is missing or a value has the wrong form.
        """
        try:
            if "labels" in content:
                return cls._from_labelled(content)
            queries = [
                QueryTruth(
                    *(entry[name] for name in _SETS),
                    box=entry.get("bbx"),
                    is_answerable=True if entry.get("lacking") else None,
                )
                for entry in content["gnd"]
            ]
            return cls(content["imlist"], content["qimlist"], queries)
        except KeyError as error:
            raise UserError(f"Ground truth has no {error}.") from error
        except UserError:
            raise
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            raise UserError(
                'Ground truth must be {"imlist", "qimlist", "gnd": [{"bbx", '
                '"easy", "hard", "junk"}]} or {"imlist", "labels", "boxes", '
                '"answerable"}, with a label per photo.'
            ) from error

    @classmethod
    def _from_labelled(cls, content: Mapping[str, Any]) -> Self:
        names = content["imlist"]
        labels = _indices(content["labels"], "labels")
        boxes = np.zeros((len(names), 4))
        for photo, box in content["boxes"].items():
            if int(photo) < 0:
                raise IndexError
            boxes[int(photo)] = _checked_box(box)
        answerable = np.array(content["answerable"], bool)
        if not len(names) == len(labels) == len(answerable):
            raise ValueError
        return cls(names, names, LandmarkQueries(labels, boxes, answerable))

    def to_dict(self) -> dict[str, Any]:
        """Returns what `from_dict` reads, ready for JSON."""
        if isinstance(self.queries, LandmarkQueries):
            boxes = self.queries.boxes
            return {
                "imlist": self.database_names,
                "labels": self.queries.landmarks.tolist(),
                "boxes": {
                    str(photo): boxes[photo].tolist()
                    for photo in np.flatnonzero(boxes.any(axis=1))
                },
                "answerable": self.queries.answerable.astype(int).tolist(),
            }
        return {
            "imlist": self.database_names,
            "qimlist": self.query_names,
            "gnd": [
                {
                    "bbx": None if query.box is None else list(query.box),
                    **{name: getattr(query, name).tolist() for name in _SETS},
                    # All its positives are missing.
                    **(
                        {"lacking": True}
                        if query.is_answerable and not len(query.positives)
                        else {}
                    ),
                }
                for query in self.queries
            ],
        }

    def save(self, path: str | os.PathLike) -> None:
        """Writes a JSON file."""
        with (
            atomic_file(path) as temporary,
            temporary.open("w", encoding="utf-8") as file,
        ):
            file.writelines(_json_pieces(self.to_dict()))

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """Reads a JSON file.

        Raises:
            UserError: the file is missing, not JSON, or not a ground truth.
        """
        try:
            location = as_location(path, "the ground truth")
            content = json.loads(read_file(location))
        except OSError as error:
            raise UserError(
                f"{path} cannot be read: {error.strerror or error}; give the "
                "JSON file "
                "of the ground truth."
            ) from error
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{path} is not valid JSON; write the ground truth again."
            ) from error
        try:
            return cls.from_dict(content)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error


def _json_pieces(content: Mapping[str, Any]) -> Iterator[str]:
    """Yields the JSON of entries, long lists in pieces.

    The text of a million names would need as much memory as they do.
    """
    opening = "{"
    for key, value in content.items():
        yield f"{opening}{json.dumps(key)}: "
        opening = ", "
        if not isinstance(value, list):
            yield json.dumps(value)
            continue
        yield "["
        for first in range(0, len(value), _PIECE):
            piece = json.dumps(value[first : first + _PIECE])
            yield f"{', ' if first else ''}{piece[1:-1]}"
        yield "]"
    yield "}"


def number_in_name(name: str) -> int:
    """Returns the number that the digits of a file name make.

    Raises:
        UserError: the name has no digit.
    """
    digits = "".join(filter(str.isdecimal, PurePosixPath(name).stem))
    if not digits:
        raise UserError(
            f"{name!r} has no number, which identifies what it shows; keep "
            "the benchmark's file names."
        )
    return int(digits)


def _checked_box(values: Sequence[float]) -> tuple[float, ...]:
    box = tuple(float(edge) for edge in values)
    if len(box) != 4 or not (box[0] < box[2] and box[1] < box[3]):
        raise UserError(
            "`box` must be (x1, y1, x2, y2) with x1 < x2 and y1 < y2. "
            f"Received: box={box}"
        )
    return box


def _indices(values: Sequence[int], name: str) -> np.ndarray:
    indices = np.asarray(values)
    if not indices.size:
        return np.empty(0, np.int64)
    if indices.ndim != 1 or not np.issubdtype(indices.dtype, np.integer):
        raise UserError(
            f"`{name}` must be a list of integers. Received: {name}={values!r}"
        )
    return indices.astype(np.int64)


def _check_query(name: str, query: QueryTruth, photos: int) -> None:
    indices = query.labelled
    if not indices.size:
        return
    if indices.min() < 0 or indices.max() >= photos:
        raise UserError(
            f"Query {name!r} has indices from {indices.min()} to "
            f"{indices.max()}, but the database has photos 0 to {photos - 1}."
        )
    distinct, counts = np.unique(indices, return_counts=True)
    if len(distinct) < len(indices):
        raise UserError(
            f"Query {name!r} lists photo {distinct[counts.argmax()]} twice; a "
            "photo is easy, hard or junk."
        )
