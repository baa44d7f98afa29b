"""A prepared dataset on disk, and the photos of its splits.

directory/
  manifest.json            options, counts, what was skipped, checksums
  records/                 TFRecords and their TFDS description
  index/<split>.npz        name, label, box, file and offset of each photo
  ground_truth/<split>.json
"""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Sequence

import numpy as np

from agem_tf import artifacts
from agem_tf.artifacts.files import load_arrays
from agem_tf.data.records import RecordStore
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth

KIND = "dataset"
_COLUMNS = ("labels", "boxes", "files", "offsets")


@dataclasses.dataclass(frozen=True)
class Split:
    """The photos of one split, or of several joined ones.

    Attributes:
        name: such as "train" or "train+validation".
        names: unique name of each photo.
        labels: (N,) int64, equal for photos of one landmark.
        boxes: (N, 4) float32, x1, y1, x2, y2 in pixels of the photo as seen,
            after its EXIF rotation; zeros for the whole photo.
        files: (N,) int64, which record file holds the photo.
        offsets: (N,) int64, at which byte.
        store: reads the record at (file, offset).
        fingerprint: of the whole dataset, see `PreparedDataset.fingerprint`;
            empty for a split of no dataset on disk.
    """

    name: str
    names: list[str]
    labels: np.ndarray
    boxes: np.ndarray
    files: np.ndarray
    offsets: np.ndarray
    store: RecordStore
    fingerprint: str = dataclasses.field(default="", kw_only=True)

    def __len__(self) -> int:
        return len(self.names)

    def find(self, names: Sequence[str]) -> np.ndarray:
        """Returns the (photos,) int64 positions of photos.

        Raises:
            UserError: the split has no photo of that name.
        """
        position = {name: i for i, name in enumerate(self.names)}
        missing = [name for name in names if name not in position]
        if missing:
            raise UserError(f"Split {self.name} has no photo {missing[0]!r}.")
        # Without the type, positions of no photo would be floats.
        return np.array([position[name] for name in names], np.int64)

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
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that tell this dataset from others.

        They follow from the name and checksum of every file that the manifest
        lists, so they are those of a copy too, wherever it stands.
        """
        digest = hashlib.sha256()
        for name, facts in sorted(self.manifest["files"].items()):
            digest.update(f"{name} {facts['sha256']}\n".encode())
        return digest.hexdigest()[:12]

    @functools.cached_property
    def _store(self) -> RecordStore:
        return RecordStore(
            [self.directory / name for name in self.manifest["record_files"]]
        )

    def split(self, name: str) -> Split:
        """Loads a split, or several joined by "+".

        Raises:
            UserError: the dataset has no such split, its index is damaged, or
                a split is repeated.
        """
        parts = [self._load_index(part) for part in self._parts(name)]
        columns = {
            key: np.concatenate([part[key] for part in parts])
            for key in _COLUMNS
        }
        names = [str(n) for part in parts for n in part["names"]]
        return Split(
            name=name,
            names=names,
            store=self._store,
            fingerprint=self.fingerprint,
            **columns,
        )

    def ground_truth(self, split: str) -> GroundTruth:
        """Loads what answers the queries of a split.

        Of splits joined by "+" each query is asked of its own split only.

        Raises:
            UserError: as `split`.
        """
        folder = self.directory / "ground_truth"
        return GroundTruth.joined(
            [
                GroundTruth.load(folder / f"{part}.json")
                for part in self._parts(split)
            ]
        )

    def verify(self) -> None:
        """Checks every file against the manifest.

        Raises:
            UserError: a file is missing or altered; the message names it.
        """
        artifacts.read_manifest(self.directory, KIND, verify=True)

    def _load_index(self, split: str) -> dict[str, np.ndarray]:
        return load_arrays(
            self.directory / "index" / f"{split}.npz",
            ("names", *_COLUMNS),
            "prepare the dataset with --overwrite",
        )

    def _parts(self, name: str) -> list[str]:
        parts = name.split("+")
        for part in parts:
            if part not in self.manifest["splits"]:
                raise UserError(
                    f"{self.directory} has no split {part!r}; it has "
                    f"{', '.join(self.splits)}."
                )
            if parts.count(part) > 1:
                raise UserError(
                    f"{name!r} names split {part!r} more than once; a photo "
                    "must not be there twice."
                )
        return parts
