"""A prepared dataset on disk, and the photos of its splits.

directory/
  manifest.json            options, counts, skipped photos, checksums
  records/                 TFRecords and their TFDS description
  index/<split>.npz        name, label, box, file and offset of each photo, and
                           (pairs, 2) positions of queries and positives where
                           the source lists pairs
  ground_truth/<split>.json
  missing.txt              photos that the source lists but lacked, if any

A split holds the photos of its database and those of its queries; its ground
truth, where it has one, says which is which. In many benchmarks the photos of
the queries are not part of a database.

Copies get truncated and disks fail. With `skip_corrupt` the records that can't
be read are found before anything is computed from the others.
"""

import dataclasses
import functools
import hashlib
import logging
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from agem_tf.datasets.records import RecordStore
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.protocols import fitting_protocol
from agem_tf.files.arrays import load_arrays
from agem_tf.files.locations import Location, as_location
from agem_tf.files.manifest import read_manifest
from agem_tf.photos.limits import MAX_JPEG_PIXELS
from agem_tf.photos.listing import MAX_LABEL, UNKNOWN
from agem_tf.progress import Progress

_LOG = logging.getLogger(__name__)

KIND = "dataset"
_RECORDS = "records"
_COLUMNS = ("labels", "boxes", "sizes", "files", "offsets")
_THREADS = 8
_SHOWN_DAMAGED = 5
# Recipes name these splits by default; many datasets have only a test.
_ADVICE = dict.fromkeys(
    ("train", "validation"),
    " To score frozen weights without training, pass --set data.train_split= "
    "--set data.validation_split= --set training.epochs=0.",
)


@dataclasses.dataclass(frozen=True)
class Split:
    """The photos of one split, or of several joined splits.

    Attributes:
        name: Name such as "train" or "train+validation".
        names: Unique name of each photo.
        labels: (photos,) int64, equal for photos of one landmark. Each
            unlabelled photo has a negative label of its own.
        boxes: (photos, 4) float32, x1, y1, x2, y2 in pixels of the photo as
            decoded; zeros for the whole photo.
        sizes: (photos, 2) int32, height and width of the photo as decoded.
        files: (photos,) int64, number of the record file.
        offsets: (photos,) int64, byte at which the record starts.
        store: Reads the record at (file, offset).
        pairs: (pairs, 2) int64 positions of a query and its positive, as the
            source lists them; None if it does not.
        fingerprint: Fingerprint of the whole dataset, see
            `PreparedDataset.fingerprint`; empty for a split that is not part
            of a dataset on disk.
        lost: Names of the photos that are left out because their records
            can't be read.
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
            UserError: The split has no photo of one of the names.
        """
        position = {name: i for i, name in enumerate(self.names)}
        missing = [name for name in names if name not in position]
        if missing:
            raise UserError(f"Split {self.name} has no photo {missing[0]!r}.")
        # Without the type, an empty list would become floats.
        return np.array([position[name] for name in names], np.int64)

    def pairs_among(self, photos: np.ndarray) -> np.ndarray | None:
        """Returns the listed pairs of some photos, None if none are listed.

        Args:
            photos: (photos,) distinct positions in the split.

        Returns:
            (pairs, 2) indices into `photos`.
        """
        if self.pairs is None:
            return None
        indices = np.full(len(self), -1)
        indices[photos] = np.arange(len(photos))
        pairs = indices[self.pairs]
        return pairs[(pairs >= 0).all(axis=1)]

    def without(self, lost: np.ndarray) -> "Split":
        """Returns the split without the photos where `lost`, (photos,) bool."""
        if not lost.any():
            return self
        kept = np.flatnonzero(~lost)
        names = [self.names[index] for index in kept]
        text = "\n".join([self.fingerprint, *names])
        digest = hashlib.sha256(text.encode("utf-8", "surrogateescape"))
        pairs = self.pairs
        if pairs is not None:
            position = np.cumsum(~lost) - 1
            pairs = position[pairs[~lost[pairs].any(axis=1)]]
        return dataclasses.replace(
            self,
            names=names,
            lost=[self.names[index] for index in np.flatnonzero(lost)],
            pairs=pairs,
            fingerprint=digest.hexdigest()[:12],
            **{key: getattr(self, key)[kept] for key in _COLUMNS},
        )

    def read(self, index: int) -> bytes:
        """Returns the serialized tf.train.Example of photo `index`."""
        return self.store.read(int(self.files[index]), int(self.offsets[index]))

    def find_damaged(self) -> np.ndarray:
        """Reads every record, and logs the errors of the first damaged ones.

        Returns:
            (photos,) bool, whether the record of each photo can't be read.
        """

        def error(photo: int) -> str:
            try:
                self.read(photo)
            except UserError as error:
                return str(error)
            return ""

        errors = []
        with (
            ThreadPoolExecutor(_THREADS) as threads,
            Progress(f"Checking records of {self.name}", len(self)) as progress,
        ):
            for message in threads.map(error, range(len(self))):
                progress.update(1)
                errors.append(message)
        messages = [message for message in errors if message]
        for message in messages[:_SHOWN_DAMAGED]:
            _LOG.warning("Split %s: %s", self.name, message)
        if len(messages) > _SHOWN_DAMAGED:
            _LOG.warning("... and %d more", len(messages) - _SHOWN_DAMAGED)
        return np.array([bool(message) for message in errors], bool)


class PreparedDataset:
    """A dataset in a directory written by `agem_tf.prepare`.

    Args:
        directory: Local or remote directory of the dataset.
        skip_corrupt: Whether to leave out photos whose records are damaged or
            missing. Every record of a split is then read when the split is
            first opened.

    Attributes:
        directory: Directory of the dataset.
        manifest: Contents of its manifest.
        lost: Photos that are left out, for each split that was opened.

    Raises:
        UserError: There is no finished dataset in `directory`.
    """

    def __init__(
        self, directory: str | pathlib.Path, skip_corrupt: bool = False
    ):
        self.directory = as_location(directory, "the dataset's directory")
        self.manifest = read_manifest(
            self.directory,
            KIND,
            unchecked=[_RECORDS] if skip_corrupt else [],
            unread=[_RECORDS],
        )
        if not _is_well_formed(self.manifest):
            raise UserError(
                f"The manifest of {self.directory} is damaged; prepare the "
                "dataset with --overwrite."
            )
        self.lost: dict[str, list[str]] = {}
        self._skip_corrupt = skip_corrupt
        self._damaged: dict[str, np.ndarray] = {}
        self._store = RecordStore(
            [self.directory / name for name in self.manifest["record_files"]]
        )

    @property
    def splits(self) -> list[str]:
        """Names of the splits."""
        return list(self.manifest["splits"])

    @functools.cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that identify the contents.

        They follow from the names and checksums of all files in the manifest,
        so a copy of the dataset has the same.
        """
        digest = hashlib.sha256()
        for name, facts in sorted(self.manifest["files"].items()):
            digest.update(f"{name} {facts['sha256']}\n".encode())
        return digest.hexdigest()[:12]

    def split(self, name: str) -> Split:
        """Loads a split, or several joined by "+".

        Raises:
            UserError: The dataset has no such split, its index is damaged, or
                a split is repeated.
        """
        parts, names = [], []
        for part in self._parts(name):
            has_pairs = "pairs" in self.manifest["splits"][part]
            path = self.directory / "index" / f"{part}.npz"
            arrays = load_arrays(
                path,
                ("names", *_COLUMNS, *(["pairs"] if has_pairs else [])),
                "prepare the dataset with --overwrite",
            )
            of_part = _names(arrays["names"])
            _check_index(
                arrays, len(of_part), len(self.manifest["record_files"]), path
            )
            names += of_part
            parts.append(arrays)
        columns = {
            key: np.concatenate([part[key] for part in parts])
            for key in _COLUMNS
        }
        # Unlabelled photos must not pass for photos of one landmark.
        unknown = columns["labels"] < 0
        columns["labels"] = np.where(
            unknown, -np.cumsum(unknown), columns["labels"]
        )
        split = Split(
            name=name,
            names=names,
            store=self._store,
            pairs=_join_pairs(parts),
            fingerprint=self.fingerprint,
            **columns,
        )
        return self._without_damaged(split) if self._skip_corrupt else split

    def database_names(self, split: str) -> list[str]:
        """Returns the photos among which the queries of a split search.

        Without a ground truth these are all photos of the split.

        Raises:
            UserError: As `split`.
        """
        if self.has_ground_truth(split):
            return self.ground_truth(split).database_names
        return self.split(split).names

    def has_ground_truth(self, split: str) -> bool:
        """Whether a split, and each split joined to it, has queries.

        Raises:
            UserError: As `split`.
        """
        return all(map(self._has_ground_truth, self._parts(split)))

    def ground_truth(self, split: str) -> GroundTruth:
        """Loads the ground truth of a split.

        The queries of splits joined by "+" search the photos of all of them,
        and have positives in their own.

        Raises:
            UserError: As `split`, or the split has no queries.
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
            truth, _ = truth.restricted_to(self.split(split).names)
        return truth

    def protocol(self, split: str) -> str:
        """Returns the name of the protocol that scores a split.

        Raises:
            UserError: as `ground_truth`.
        """
        return self.manifest.get("protocol") or fitting_protocol(
            self.ground_truth(split)
        )

    def describe(self) -> Iterator[str]:
        """Yields lines about the splits and what is missing."""
        for split, facts in self.manifest["splits"].items():
            yield f"{split}: {_describe_split(facts)}"
        if missing := self.manifest.get("missing"):
            yield f"{missing} photos are missing; missing.txt lists them"
        for skipped in self.manifest["skipped"]:
            yield f"skipped {skipped['photo']}: {skipped['reason']}"
        yield from self.manifest.get("notes", [])

    def verify(self) -> None:
        """Checks every file against its checksum in the manifest.

        Raises:
            UserError: A file is missing or altered; the message names it.
        """
        read_manifest(self.directory, KIND, verify=True)

    def _without_damaged(self, split: Split) -> Split:
        if split.name not in self._damaged:
            self._damaged[split.name] = split.find_damaged()
        damaged = self._damaged[split.name]
        if len(damaged) and damaged.all():
            raise UserError(
                f"No photo of split {split.name} of {self.directory} can be "
                "read; copy its records again."
            )
        left = split.without(damaged)
        if left.lost:
            self.lost[split.name] = list(left.lost)
        return left

    def _ground_truth_path(self, split: str) -> Location:
        return self.directory / "ground_truth" / f"{split}.json"

    def _has_ground_truth(self, split: str) -> bool:
        name = self._ground_truth_path(split).relative_to(self.directory)
        return name.as_posix() in self.manifest["files"]

    def _parts(self, name: str) -> list[str]:
        parts = name.split("+")
        for part in parts:
            if part not in self.manifest["splits"]:
                raise UserError(
                    f"{self.directory} has no split {part!r}; it has "
                    f"{', '.join(self.splits)}.{_ADVICE.get(part, '')}"
                )
            if parts.count(part) > 1:
                raise UserError(
                    f"{name!r} names split {part!r} more than once; a photo "
                    "must not be there twice."
                )
        return parts


def _is_well_formed(manifest: Mapping[str, Any]) -> bool:
    """Returns whether an untrusted manifest has the fields of a dataset."""
    records, splits = manifest.get("record_files"), manifest.get("splits")
    skipped, notes = manifest.get("skipped"), manifest.get("notes", [])
    if not (isinstance(splits, dict) and {"dataset", "options"} <= {*manifest}):
        return False
    if not all(isinstance(x, list) for x in (records, skipped, notes)):
        return False
    return (
        all(isinstance(x, str) and x in manifest["files"] for x in records)
        and all(isinstance(note, str) for note in notes)
        and isinstance(manifest.get("protocol"), str | None)
        and all(
            isinstance(facts, dict)
            and {"photos", "landmarks"} <= facts.keys()
            and isinstance(facts.get("lost"), dict | None)
            for facts in splits.values()
        )
        and all(
            isinstance(photo, dict) and {"photo", "reason"} <= photo.keys()
            for photo in skipped
        )
    )


def _describe_split(facts: Mapping[str, Any]) -> str:
    text = f"{facts['photos']} photos"
    if facts["landmarks"]:
        plural = "" if facts["landmarks"] == 1 else "s"
        text += f" of {facts['landmarks']} landmark{plural}"
    for what in ("queries", "pairs"):
        if what in facts:
            text += f", {facts[what]} {what}"
    if facts.get("lost"):
        lost = (f"{count} {what}" for what, count in facts["lost"].items())
        text += (
            f"; {', '.join(lost)} are missing, so scores are not comparable "
            "with published ones"
        )
    return text


def _names(stored: np.ndarray) -> list[str]:
    """Returns names of an index: lines in UTF-8, of earlier releases texts."""
    if stored.dtype.kind == "U":
        return stored.ravel().tolist()
    return stored.tobytes().decode(errors="replace").split("\n")


def _check_index(
    arrays: Mapping[str, np.ndarray], photos: int, files: int, path: Location
) -> None:
    """Checks that the arrays of an untrusted index can index its records.

    Args:
        arrays: Arrays by name.
        photos: Number of names.
        files: Number of record files.
        path: Path of the index, for the error.

    Raises:
        UserError: A shape, type or value is impossible.
    """
    labels, boxes, sizes, of_files, offsets = (arrays[x] for x in _COLUMNS)
    pairs = arrays.get("pairs", np.empty((0, 2), np.int64))
    integers = (labels, sizes, of_files, offsets, pairs)
    shapes = [array.shape for array in (*integers[:-1], boxes)]
    if (
        shapes != [(photos,), (photos, 2), (photos,), (photos,), (photos, 4)]
        or pairs.shape[1:] != (2,)
        or any(array.dtype.kind != "i" for array in integers)
        or boxes.dtype.kind != "f"
    ):
        raise UserError(
            f"{path} has not one name per photo, or values of another type; "
            "prepare the dataset with --overwrite."
        )
    # Not a number is outside of any bounds.
    bounds = (
        (sizes, 1, MAX_JPEG_PIXELS),
        (boxes, -MAX_JPEG_PIXELS, MAX_JPEG_PIXELS),
        (of_files, 0, files - 1),
        (offsets, 0, np.iinfo(np.int64).max),
        # Any negative label is that of an unlabelled photo.
        (np.maximum(labels, UNKNOWN), UNKNOWN, MAX_LABEL),
        (pairs, 0, photos - 1),
    )
    if not all(
        ((least <= values) & (values <= most)).all()
        for values, least, most in bounds
    ):
        raise UserError(
            f"{path} has a label, size, box, file or pair that can't be; "
            "prepare the dataset with --overwrite."
        )


def _join_pairs(parts: Sequence[dict[str, np.ndarray]]) -> np.ndarray | None:
    starts = np.cumsum([0] + [len(part["labels"]) for part in parts])
    joined = [
        part["pairs"] + start
        for part, start in zip(parts, starts, strict=False)
        if "pairs" in part
    ]
    return np.concatenate(joined) if joined else None
