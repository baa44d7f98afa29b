"""The user's own photos: one folder a landmark, or a CSV that names them."""

import csv
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping

import numpy as np

from agem_tf.data import photos, splits
from agem_tf.data.landmark_builder import Example, LandmarkBuilder
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth

_COLUMNS = ["path", "landmark", "x1", "y1", "x2", "y2"]


@dataclasses.dataclass(frozen=True)
class _Listed:
    """A photo that the source names; box as in the CSV, or None."""

    path: pathlib.Path
    name: str
    landmark: str
    box: tuple[float, ...] | None = None


class PhotoFolder(LandmarkBuilder, skip_registration=True):
    """Photos in `source`: a folder of one folder a landmark, or a CSV.

    The CSV has rows `path,landmark` or `path,landmark,x1,y1,x2,y2` (pixels of
    the photo as stored, x to the right), paths relative to the CSV; a header
    row is allowed. Every photo of a split is a query, searched for among the
    others of the split.
    """

    def __init__(
        self,
        *,
        data_dir: str,
        source: str,
        validation: float | str = 0.1,
        test: float | str = 0.2,
        skip_bad: bool = False,
    ):
        """Lists the photos.

        Args:
            data_dir: where the records go.
            source: the folder or the CSV.
            validation, test: see `splits.assign`.
            skip_bad: leave out unreadable photos, empty landmarks and
                landmarks with one photo instead of stopping.

        Raises:
            UserError: the source is missing, empty or malformed.
        """
        self._skip_bad = skip_bad
        root = pathlib.Path(source).expanduser()
        self._listed = _list_csv(root) if root.is_file() else _list_folder(root)
        self._splits = splits.assign(list(self._listed), validation, test)
        self._labels = {name: i for i, name in enumerate(sorted(self._listed))}
        super().__init__(data_dir=data_dir)

    def examples(self) -> Mapping[str, Iterator[Example]]:
        return {
            split: self._split_examples(landmarks)
            for split, landmarks in self._splits.items()
        }

    def ground_truth(
        self, names: list[str], labels: np.ndarray, boxes: np.ndarray
    ) -> GroundTruth:
        return GroundTruth.from_labels(names, labels, boxes)

    def _split_examples(self, landmarks: list[str]) -> Iterator[Example]:
        for landmark in landmarks:
            yield from self._landmark_examples(landmark)

    def _landmark_examples(self, landmark: str) -> Iterator[Example]:
        first, count = None, 0
        for listed in self._listed[landmark]:
            try:
                example = self._example(listed)
            except UserError as error:
                self._skip(listed.name, error)
                continue
            count += 1
            # Held back until a second photo shows that the landmark is usable.
            if count == 1:
                first = example
                continue
            if count == 2:
                yield first
            yield example
        if count < 2:
            self._skip(
                landmark,
                UserError(
                    f"Landmark {landmark!r} has {count} usable photo(s), two "
                    "are needed; add photos, remove it, or pass --skip_bad."
                ),
            )

    def _example(self, listed: _Listed) -> Example:
        photo = photos.read(listed.path)
        if listed.box:
            _check_box(listed, listed.box, photo)
        return {
            "image": photo.encoded,
            "name": listed.name,
            "landmark": listed.landmark,
            "label": self._labels[listed.landmark],
            "box": np.asarray(listed.box or (0, 0, 0, 0), np.float32),
        }

    def _skip(self, name: str, error: UserError) -> None:
        if not self._skip_bad:
            raise error
        self.skipped.append({"photo": name, "reason": str(error)})


def _check_box(
    listed: _Listed, box: tuple[float, ...], photo: photos.EncodedPhoto
) -> None:
    x1, y1, x2, y2 = box
    if not (0 <= x1 < x2 <= photo.width and 0 <= y1 < y2 <= photo.height):
        raise UserError(
            f"The box {box} of {listed.path} is not inside its "
            f"{photo.width} x {photo.height} pixels; correct x1,y1,x2,y2."
        )


def _list_folder(root: pathlib.Path) -> dict[str, list[_Listed]]:
    if not root.is_dir():
        raise UserError(f"No folder or CSV at {root}; give --source=DIR.")
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    if not folders:
        raise UserError(
            f"{root} has no folder in it; make one folder a landmark, with the "
            "landmark's photos inside."
        )
    return {
        folder.name: [
            _Listed(path, path.relative_to(root).as_posix(), folder.name)
            for path in sorted(folder.rglob("*"))
            if path.suffix.lower() in photos.SUFFIXES and path.is_file()
        ]
        for folder in folders
    }


def _list_csv(path: pathlib.Path) -> dict[str, list[_Listed]]:
    listed: dict[str, list[_Listed]] = {}
    seen = set()
    with path.open(newline="", encoding="utf-8-sig") as file:
        for number, row in enumerate(csv.reader(file), 1):
            if not row or (number == 1 and row == _COLUMNS[: len(row)]):
                continue
            photo = _parse_row(path, number, row)
            if photo.name in seen:
                raise UserError(
                    f"{path}:{number} names {photo.name} again; keep one row."
                )
            seen.add(photo.name)
            listed.setdefault(photo.landmark, []).append(photo)
    if not listed:
        raise UserError(f"{path} names no photo; write rows path,landmark.")
    return listed


def _parse_row(path: pathlib.Path, number: int, row: list[str]) -> _Listed:
    try:
        if len(row) not in (2, 6):
            raise ValueError(f"{len(row)} columns")
        box = tuple(float(value) for value in row[2:]) or None
    except ValueError as error:
        raise UserError(
            f"{path}:{number} is not path,landmark or "
            f"path,landmark,x1,y1,x2,y2 ({error})."
        ) from error
    name = pathlib.PurePath(row[0]).as_posix()
    return _Listed(path.parent / row[0], name, row[1], box)
