"""Google Landmarks v1 and v2, from CSV files and photos or from TFRecords.

See Noh et al. (https://arxiv.org/abs/1612.06321) and Weyand et al.
(https://arxiv.org/abs/2004.01804).
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from etils import epath

from agem_tf.datasets import splits
from agem_tf.datasets.landmark_builder import (
    LandmarkBuilder,
    Skip,
    shuffling_key,
)
from agem_tf.datasets.prepared import Split
from agem_tf.datasets.public.published import (
    PublishedDataset,
    check_source,
)
from agem_tf.datasets.record_features import only_value, parse_features
from agem_tf.datasets.records import RecordFile
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.protocols.gldv2 import read_retrieval_solution
from agem_tf.files.csv_tables import csv_columns
from agem_tf.files.locations import local_copy
from agem_tf.files.stored_items import StoredItems
from agem_tf.photos import encoding
from agem_tf.photos.listing import (
    MAX_LABEL,
    UNKNOWN,
    Example,
    ListedPhoto,
    check_name,
)

_RETRIEVAL = "retrieval_solution_v2.1.csv"
_RECOGNITION = "recognition_solution_v2.1.csv"
# How Kaggle's files mark a photo without a landmark.
_NO_LANDMARK = frozenset({"", "None"})

# Of the TFRecords.
_SPLITS = ("train", "validation", "test")
_FILE = re.compile(rf"({'|'.join(_SPLITS)})-\d{{5}}-of-(\d{{5}})")
_NAME, _PHOTO, _LABEL = "image/id", "image/encoded", "image/class/label"
_REMEDY = "give the TFRecords of DELF's tools, or pass --skip_bad"


class GoogleLandmarksV1(PublishedDataset, skip_registration=True):
    """Google Landmarks v1: training photos of 14,951 landmarks.

    train.csv (id,url,landmark_id) lies in `source` or in train/, the photos in
    train/ as a/b/c/ID.jpg (the first three characters of the identifier) or as
    ID.jpg.

    The split "train" is shuffled and has labels but no ground truth, which
    would be larger than the names of the photos; "validation" has both.
    """

    protocol = "gldv2"
    labels_file = "train.csv"
    overlap = ""

    def __init__(self, *, validation: splits.Selection = 0.0, **options: Any):
        """Sets what is read.

        Args:
            validation: Share or names of the landmarks that validate instead
                of training; see `splits.assign_landmarks`.
            **options: Arguments of `PublishedDataset`.
        """
        super().__init__(**options)
        self._validation = validation

    def photos(self) -> Mapping[str, Collection[ListedPhoto]]:
        labels = self._labels()
        if self.overlap:
            self.note(self.overlap)
        return self._training(labels)

    def ground_truth(self, split: Split) -> GroundTruth | None:
        if split.name != "validation":
            return None
        return GroundTruth.from_labels(split.names, split.labels)

    def _labels(self) -> dict[str, int]:
        """Returns the landmark of each training photo, by identifier."""
        path = self._file("train", self.labels_file)
        if path is None:
            raise UserError(
                f"{self.source} has no train/{self.labels_file}; give the "
                "folder of the download as --source."
            )
        return dict(_read_labels(path))

    def _training(
        self, labels: Mapping[str, int]
    ) -> dict[str, Collection[ListedPhoto]]:
        landmarks = sorted({str(label) for label in labels.values()})
        assigned = splits.assign_landmarks(landmarks, self._validation, 0)
        split_of = {
            landmark: split
            for split, members in assigned.items()
            for landmark in members
        }

        listed = self._listed("train", labels, labels)
        return StoredItems.by_group(
            ListedPhoto,
            assigned,
            ((split_of[photo.landmark], photo) for photo in listed),
            shuffling_key,
        )

    def _listed(
        self, folder: str, names: Collection[str], labels: Mapping[str, int]
    ) -> Iterator[ListedPhoto]:
        root = self.path(folder)
        if not epath.Path(root).is_dir():
            root = self.source
        first = next(iter(names), "")
        nested = epath.Path(os.path.join(root, first[:1])).is_dir()
        # One string per landmark instead of one per photo.
        texts = {label: str(label) for label in set(labels.values())}
        for name in names:
            parts = (*name[:3], f"{name}.jpg") if nested else (f"{name}.jpg",)
            label = labels.get(name, UNKNOWN)
            path = os.path.join(root, *parts)
            yield ListedPhoto(path, name, texts.get(label, ""), label)

    def _file(self, folder: str, name: str) -> str | None:
        for path in (self.path(folder, name), self.path(name)):
            if epath.Path(path).exists():
                return path
        return None


class GoogleLandmarksV2(GoogleLandmarksV1, skip_registration=True):
    """Google Landmarks v2: 203,094 landmarks, and two tests.

    train/, index/ and test/ as the publisher's script leaves them. The splits
    beyond those of v1 exist where their files do:

    "test": 762 thousand photos of the index, and the queries of
    retrieval_solution_v2.1.csv that count.
    "recognition": the photos of recognition_solution_v2.1.csv that count. They
    are searched for among the training photos: score their descriptors with
    that file and train.csv.
    """

    overlap = (
        "The clean part of Google Landmarks v2 shares landmarks with 38 of the "
        "70 queries of ROxford5k and 36 of the 70 of RParis6k; the whole of it "
        "with at least those."
    )

    def photos(self) -> Mapping[str, Collection[ListedPhoto]]:
        labels = self._labels()
        self.note(self.overlap)
        return (
            self._training(labels)
            | self._retrieval()
            | self._recognition(set(labels.values()))
        )

    def ground_truth(self, split: Split) -> GroundTruth | None:
        if split.name == "test":
            return self._truth
        return super().ground_truth(split)

    def _retrieval(self) -> dict[str, list[ListedPhoto]]:
        index = self._file("index", "index.csv")
        solution = self._file("test", _RETRIEVAL)
        if index is None or solution is None:
            return {}
        names = [name for (name,) in csv_columns(index, ["id"])]
        self._truth = read_retrieval_solution(solution, names)
        known = self._file("index", "index_image_to_landmark.csv")
        labels = {} if known is None else dict(_read_labels(known))
        queries = self._listed("test", self._truth.query_names, {})
        return {"test": [*self._listed("index", names, labels), *queries]}

    def _recognition(self, trained: set[int]) -> dict[str, list[ListedPhoto]]:
        solution = self._file("test", _RECOGNITION)
        if solution is None:
            return {}
        labels, landmarks = {}, set()
        for name, shown, usage in csv_columns(
            solution, ["id", "landmarks", "Usage"]
        ):
            if usage != "Ignored":
                known = [_landmark(solution, text) for text in shown.split()]
                labels[name] = known[0] if known else UNKNOWN
                landmarks.update(known)
        self.note(
            f"Training has {len(landmarks & trained):,} of the "
            f"{len(landmarks):,} landmarks of the recognition test."
        )
        return {"recognition": list(self._listed("test", labels, labels))}


class GoogleLandmarksV2Clean(GoogleLandmarksV2, skip_registration=True):
    """Google Landmarks v2 with the training photos of train_clean.csv.

    These are 1,580,470 photos of 81,313 landmarks (landmark_id,images).
    """

    labels_file = "train_clean.csv"
    overlap = (
        "Google Landmarks v2 clean shares landmarks with 38 of the 70 queries "
        "of ROxford5k and 36 of the 70 of RParis6k."
    )


class SourceRecords(NamedTuple):
    """One TFRecord file of the source, an item of `GoogleLandmarksRecords`."""

    path: str


class GoogleLandmarksRecords(LandmarkBuilder, skip_registration=True):
    """Google Landmarks as TFRecords, written by the tools of DELF.

    `source` holds train-00000-of-00128 and so on, validation- and test-. The
    records have image/encoded, image/id and, except in the test,
    image/class/label (https://github.com/tensorflow/models, research/delf).
    There is no ground truth.
    """

    protocol = "gldv2"
    units = "files"
    # One record file per source file, whose photos are shuffled already.
    items_per_file = 1

    def __init__(
        self,
        *,
        data_dir: str,
        source: str = "",
        skip_bad: bool = False,
        allow_missing: bool = False,
    ):
        """Sets what is read; see `PublishedDataset`."""
        super().__init__(
            data_dir=data_dir, skip_bad=skip_bad, allow_missing=allow_missing
        )
        self._source = source

    def listing(self) -> Mapping[str, list[SourceRecords]]:
        check_source(self._source)
        present = {path.name for path in epath.Path(self._source).iterdir()}
        matches = filter(None, map(_FILE.fullmatch, present))
        counts = {match[1]: int(match[2]) for match in matches}
        if not counts:
            raise UserError(
                f"{self._source} has no file such as train-00000-of-00128; "
                "give the folder of the TFRecords as --source."
            )
        wanted = {
            split: [f"{split}-{i:05d}-of-{count:05d}" for i in range(count)]
            for split, count in counts.items()
        }
        self.missing = sorted(set().union(*wanted.values()) - present)
        return {
            split: [
                SourceRecords(f"{self._source}/{name}")
                for name in wanted[split]
                if name in present
            ]
            for split in _SPLITS
            if split in wanted
        }

    @classmethod
    def examples(cls, item: Sequence[Any], skip: Skip) -> Iterator[Example]:
        path = SourceRecords(*item).path
        for number, payload in enumerate(_read_payloads(path)):
            # Until its name is known.
            name = f"Entry {number} of {path}"
            about = name, _REMEDY
            try:
                features = parse_features(payload, *about)
                identifier = only_value(features, _NAME, bytes, *about)
                encoded = only_value(features, _PHOTO, bytes, *about)
                name = identifier.decode(errors="surrogateescape")
                check_name(name)
                listed = ListedPhoto(path, name)
                if _LABEL in features:
                    label = only_value(features, _LABEL, int, *about)
                    if not 0 <= label <= MAX_LABEL:
                        raise UserError(
                            f"{about[0]} has the label {label} instead of a "
                            f"landmark's number; {_REMEDY}."
                        )
                    listed = ListedPhoto(path, name, str(label), label)
                photo = encoding.encode_photo(encoded, name, upright=False)
            except UserError as error:
                skip(name, error)
            else:
                yield listed.example(photo)

    def ground_truth(self, split: Split) -> None:
        return None

    def notes(self) -> list[str]:
        return [GoogleLandmarksV2.overlap]


def _read_labels(path: str) -> Iterator[tuple[str, int]]:
    """Yields the identifier and the landmark of each labelled photo."""
    grouped = os.path.basename(path) == GoogleLandmarksV2Clean.labels_file
    columns = ["landmark_id", "images" if grouped else "id"]
    for landmark, identifiers in csv_columns(path, columns):
        if landmark in _NO_LANDMARK:
            continue
        label = _landmark(path, landmark)
        for identifier in identifiers.split():
            yield identifier, label


def _landmark(path: str, text: str) -> int:
    # Python refuses to read thousands of digits.
    is_short = text.isdecimal() and len(text) <= len(str(MAX_LABEL))
    if not is_short or int(text) > MAX_LABEL:
        raise UserError(
            f"{path} has landmark {text!r} instead of a number; download it "
            "again."
        )
    return int(text)


def _read_payloads(path: str) -> Iterator[bytes]:
    """Yields the bytes of each record of a file, which may be remote."""
    with local_copy(path) as copy:
        file = RecordFile(copy)
        for _, payload in file.scan():
            yield payload
        file.close()
