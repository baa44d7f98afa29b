"""A prepared dataset on disk, and the photos of its splits.

directory/
  manifest.json            options, counts, what was skipped, checksums
  records/                 TFRecords and their TFDS description
  index/<split>.npz        name, label, box, file and offset of each photo
  ground_truth/<split>.json
"""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from agem_tf import artifacts
from agem_tf.data.records import RecordStore
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth

KIND = "dataset"


@dataclasses.dataclass(frozen=True)
class Split:
    """The photos of one split, or of several joined ones.

    Attributes:
        name: such as "train" or "train+validation".
        names: unique name of each photo.
        labels: (N,) int64, equal for photos of one landmark.
        boxes: (N, 4) float32, x1, y1, x2, y2 in pixels.
        files: (N,) int64, which record file holds the photo.
        offsets: (N,) int64, at which byte.
        store: reads the record at (file, offset).
    """

    name: str
    names: list[str]
    labels: np.ndarray
    boxes: np.ndarray
    files: np.ndarray
    offsets: np.ndarray
    store: RecordStore

    def __len__(self) -> int:
        return len(self.names)

    def find(self, names: Sequence[str]) -> np.ndarray:
        """Returns the positions of photos.

        Raises:
            UserError: the split has no photo of that name.
        """
        position = {name: i for i, name in enumerate(self.names)}
        missing = [name for name in names if name not in position]
        if missing:
            raise UserError(f"Split {self.name} has no photo {missing[0]!r}.")
        return np.array([position[name] for name in names])

    def read(self, index: int) -> bytes:
        """Returns the serialized tf.train.Example of photo `index`."""
        return self.store.read(int(self.files[index]), int(self.offsets[index]))


class PreparedDataset:
    """Opens what `agem_tf.prepare` has made."""

    def __init__(self, directory: str | pathlib.Path):
        """Reads the manifest.

        Raises:
            UserError: there is no finished dataset in `directory`.
        """
        self.directory = pathlib.Path(directory)
        self.manifest = artifacts.read_manifest(self.directory, KIND)

    @property
    def splits(self) -> list[str]:
        """Names of the splits."""
        return list(self.manifest["splits"])

    @functools.cached_property
    def _store(self) -> RecordStore:
        return RecordStore(
            [self.directory / name for name in self.manifest["record_files"]]
        )

    def split(self, name: str) -> Split:
        """Loads a split, or several joined by "+".

        Raises:
            UserError: the dataset has no such split.
        """
        parts = [self._load_index(part) for part in name.split("+")]
        columns = {
            key: np.concatenate([part[key] for part in parts])
            for key in ("labels", "boxes", "files", "offsets")
        }
        names = [str(n) for part in parts for n in part["names"]]
        return Split(name=name, names=names, store=self._store, **columns)

    def ground_truth(self, split: str) -> GroundTruth:
        """Loads what answers the queries of one split.

        Raises:
            UserError: the dataset has no such split.
        """
        self._check_split(split)
        return GroundTruth.load(
            self.directory / "ground_truth" / f"{split}.json"
        )

    def verify(self) -> None:
        """Checks every file against the manifest.

        Raises:
            UserError: a file is missing or altered; the message names it.
        """
        artifacts.read_manifest(self.directory, KIND, verify=True)

    def _load_index(self, split: str) -> dict[str, Any]:
        self._check_split(split)
        path = self.directory / "index" / f"{split}.npz"
        try:
            with np.load(path, allow_pickle=False) as index:
                return dict(index)
        except (OSError, ValueError) as error:
            raise UserError(
                f"{path} can't be read ({error}); prepare the dataset with "
                "--overwrite."
            ) from error

    def _check_split(self, split: str) -> None:
        if split not in self.manifest["splits"]:
            raise UserError(
                f"{self.directory} has no split {split!r}; it has "
                f"{', '.join(self.splits)}."
            )
