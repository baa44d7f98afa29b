"""A prepared dataset on disk, and the photos of its splits.

directory/
  manifest.json            options, counts, what was skipped, checksums
  records/                 TFRecords and their TFDS description
  index/<split>.npz        name, label, box, file and offset of each photo, and
                           (pairs, 2) positions of queries and positives where
                           the source names pairs
  ground_truth/<split>.json
  missing.txt              photos that the source names but lacked, if any

A split holds the photos of its database and those of its queries; its ground
truth, where it has one, tells which is which. The photos of a benchmark's
queries are often in no database.
"""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from agem_tf.datasets.completeness import restrict
from agem_tf.datasets.damage import unreadable
from agem_tf.datasets.records import RecordStore
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.files.arrays import load_arrays
from agem_tf.files.manifest import read_manifest

KIND = "dataset"
_RECORDS = "records"
_COLUMNS = ("labels", "boxes", "sizes", "files", "offsets")


@dataclasses.dataclass(frozen=True)
class Split:
    """The photos of one split, or of several joined ones.

    Attributes:
        name: such as "train" or "train+validation".
        names: unique name of each photo.
        labels: (N,) int64, equal for photos of one landmark. A photo whose
            landmark nobody knows has a negative label of its own.
        boxes: (N, 4) float32, x1, y1, x2, y2 in pixels of the photo as it
            decodes; zeros for the whole photo.
        sizes: (N, 2) int32, height and width of each photo as it decodes.
        files: (N,) int64, which record file holds the photo.
        offsets: (N,) int64, at which byte.
        store: reads the record at (file, offset).
        pairs: (pairs, 2) int64 positions of a query and its positive, as the
            source names them; None if it does not.
        fingerprint: of the whole dataset, see `PreparedDataset.fingerprint`;
            empty for a split of no dataset on disk.
        lost: names of photos that are left out because they can't be read.
    """

    name: str
    names: list[str]
    labels: np.ndarray
    boxes: np.ndarray
    sizes: np.ndarray
    files: np.ndarray
    offsets: np.ndarray
    store: RecordStore
    pairs: np.ndarray | None = dataclasses.field(default=None, kw_only=True)
    fingerprint: str = dataclasses.field(default="", kw_only=True)
    lost: Sequence[str] = dataclasses.field(default=(), kw_only=True)

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

    def pairs_among(self, photos: np.ndarray) -> np.ndarray | None:
        """Returns the listed pairs of some photos, None if none are listed.

        Args:
            photos: (N,) distinct positions.

        Returns:
            (pairs, 2) indices of `photos`.
        """
        if self.pairs is None:
            return None
        indices = np.full(len(self), -1)
        indices[photos] = np.arange(len(photos))
        pairs = indices[self.pairs]
        return pairs[(pairs >= 0).all(axis=1)]

    def without(self, lost: np.ndarray) -> "Split":
        """Returns the split without the photos where (N,) `lost` is true."""
        if not lost.any():
            return self
        kept = np.flatnonzero(~lost)
        names = [self.names[index] for index in kept]
        text = "\n".join([self.fingerprint, *names])
        digest = hashlib.sha256(text.encode("utf-8", "surrogateescape"))
        return dataclasses.replace(
            self,
            names=names,
            lost=[self.names[index] for index in np.flatnonzero(lost)],
            pairs=_keep_pairs(self.pairs, lost),
            fingerprint=digest.hexdigest()[:12],
            **{key: getattr(self, key)[kept] for key in _COLUMNS},
        )

    def read(self, index: int) -> bytes:
        """Returns the serialized tf.train.Example of photo `index`."""
        return self.store.read(int(self.files[index]), int(self.offsets[index]))


class PreparedDataset:
    """Opens what `agem_tf.prepare` has made.

    Args:
        directory: of the dataset.
        skip_corrupt: do without the photos whose records are damaged or gone,
            for which every record of a split is read when it is first opened.

    Attributes:
        directory: of the dataset.
        manifest: what `agem_tf.prepare` has noted.
        lost: name of a split that was opened -> names of its lost photos.

    Raises:
        UserError: there is no finished dataset in `directory`.
    """

    def __init__(
        self, directory: str | pathlib.Path, skip_corrupt: bool = False
    ):
        self.directory = pathlib.Path(directory)
        self.manifest = read_manifest(
            self.directory, KIND, unchecked=[_RECORDS] if skip_corrupt else []
        )
        self.lost: dict[str, list[str]] = {}
        self._skip_corrupt = skip_corrupt
        self._damage: dict[str, np.ndarray] = {}

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
        columns["labels"] = _tell_unknown_apart(columns["labels"])
        names = [str(n) for part in parts for n in part["names"]]
        split = Split(
            name=name,
            names=names,
            store=self._store,
            pairs=_join_pairs(parts),
            fingerprint=self.fingerprint,
            **columns,
        )
        return self._readable(split) if self._skip_corrupt else split

    def database_names(self, split: str) -> list[str]:
        """Returns the photos among which the queries of a split search.

        They are all photos of a split that has no ground truth.

        Raises:
            UserError: as `split`.
        """
        if self.has_ground_truth(split):
            return self.ground_truth(split).database_names
        return self.split(split).names

    def has_ground_truth(self, split: str) -> bool:
        """Whether queries are known for a split, and all that are joined to it.

        Raises:
            UserError: as `split`.
        """
        return all(map(self._has_ground_truth, self._parts(split)))

    def ground_truth(self, split: str) -> GroundTruth:
        """Loads what answers the queries of a split.

        Of splits joined by "+" each query is asked of its own split only.

        Raises:
            UserError: as `split`, or it has no queries.
        """
        parts = self._parts(split)
        for part in parts:
            if not self._has_ground_truth(part):
                raise UserError(
                    f"Split {part} of {self.directory} has no queries, so no "
                    "ground truth; name a split that has."
                )
        truth = GroundTruth.joined(
            [GroundTruth.load(self._ground_truth_path(part)) for part in parts]
        )
        if self._skip_corrupt:
            truth, _ = restrict(truth, self.split(split).names)
        return truth

    def describe(self) -> Iterator[str]:
        """Yields lines about its splits and what it lacks."""
        for split, facts in self.manifest["splits"].items():
            yield f"{split}: {_describe_split(facts)}"
        if missing := self.manifest.get("missing"):
            yield f"{missing} photos are missing; missing.txt lists them"
        for skipped in self.manifest["skipped"]:
            yield f"skipped {skipped['photo']}: {skipped['reason']}"
        yield from self.manifest.get("notes", [])

    def verify(self) -> None:
        """Checks every file against the manifest.

        Raises:
            UserError: a file is missing or altered; the message names it.
        """
        read_manifest(self.directory, KIND, verify=True)

    def _readable(self, split: Split) -> Split:
        if split.name not in self._damage:
            self._damage[split.name] = unreadable(
                split.name, split.files, split.offsets, split.store
            )
        damaged = self._damage[split.name]
        if len(damaged) and damaged.all():
            raise UserError(
                f"No photo of split {split.name} of {self.directory} can be "
                "read; copy its records again."
            )
        left = split.without(damaged)
        if left.lost:
            self.lost[split.name] = list(left.lost)
        return left

    def _ground_truth_path(self, split: str) -> pathlib.Path:
        return self.directory / "ground_truth" / f"{split}.json"

    def _has_ground_truth(self, split: str) -> bool:
        name = self._ground_truth_path(split).relative_to(self.directory)
        return name.as_posix() in self.manifest["files"]

    def _load_index(self, split: str) -> dict[str, np.ndarray]:
        has_pairs = self.manifest["splits"][split].get("pairs")
        return load_arrays(
            self.directory / "index" / f"{split}.npz",
            ("names", *_COLUMNS, *(["pairs"] if has_pairs else [])),
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


def _describe_split(facts: Mapping[str, Any]) -> str:
    text = f"{facts['photos']} photos"
    if facts["landmarks"]:
        text += f" of {facts['landmarks']} landmarks"
    for what in ("queries", "pairs"):
        if what in facts:
            text += f", {facts[what]} {what}"
    if facts.get("lost"):
        lost = (f"{count} {what}" for what, count in facts["lost"].items())
        text += (
            f"; lost are {', '.join(lost)}, so scores are not comparable with "
            "published ones"
        )
    return text


def _keep_pairs(
    pairs: np.ndarray | None, lost: np.ndarray
) -> np.ndarray | None:
    if pairs is None:
        return None
    position = np.cumsum(~lost) - 1
    return position[pairs[~lost[pairs].any(axis=1)]]


def _tell_unknown_apart(labels: np.ndarray) -> np.ndarray:
    """Photos of unknown landmarks must not pass for photos of one."""
    unknown = labels < 0
    return np.where(unknown, -np.cumsum(unknown), labels)


def _join_pairs(parts: Sequence[dict[str, np.ndarray]]) -> np.ndarray | None:
    starts = np.cumsum([0] + [len(part["names"]) for part in parts])
    joined = [
        part["pairs"] + start
        for part, start in zip(parts, starts, strict=False)
        if "pairs" in part
    ]
    return np.concatenate(joined) if joined else None
