"""Google Landmarks v1 and v2 from their CSV files and folders of photos.

See Noh et al. (https://arxiv.org/abs/1612.06321) and Weyand et al.
(https://arxiv.org/abs/2004.01804).
"""

import os
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import tensorflow as tf

from agem_tf.datasets import splits
from agem_tf.datasets.landmark_builder import shuffled
from agem_tf.datasets.prepared import Split
from agem_tf.datasets.public.csv_rows import read_rows
from agem_tf.datasets.public.published import PublishedDataset
from agem_tf.datasets.remote import local_copy
from agem_tf.errors import UserError
from agem_tf.evaluation.csv_ground_truth import read_retrieval_solution
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.photos.listing import UNKNOWN, ListedPhoto

_RETRIEVAL = "retrieval_solution_v2.1.csv"
_RECOGNITION = "recognition_solution_v2.1.csv"
# Kaggle's files say so of a photo without a landmark.
_NONE = frozenset({"", "None"})


class GoogleLandmarksV1(PublishedDataset, skip_registration=True):
    """Google Landmarks v1: photos of 14,951 landmarks, for training.

    train.csv (id,url,landmark_id) stands in `source` or in train/, the photos
    in train/ as a/b/c/ID.jpg, the first three characters of the identifier, or
    as ID.jpg.

    The split "train" is in shuffled order and has labels but no ground truth,
    which would be larger than the photos' names; "validation" has both.
    """

    protocol = "gldv2"
    labels_file = "train.csv"
    overlap = ""

    def __init__(self, *, validation: splits.Selection = 0.0, **options: Any):
        """Sets what is read.

        Args:
            validation: share or names of the landmarks that do not train; see
                `splits.assign`.
            **options: of `PublishedDataset`.
        """
        super().__init__(**options)
        self._validation = validation

    def photos(self) -> Mapping[str, list[ListedPhoto]]:
        labels = self._labels()
        if self.overlap:
            self.note(self.overlap)
        return self._training(labels)

    def ground_truth(self, split: Split) -> GroundTruth | None:
        if split.name != "validation":
            return None
        return GroundTruth.from_labels(split.names, split.labels)

    def _labels(self) -> dict[str, int]:
        """Identifier of each training photo -> its landmark."""
        path = self._file("train", self.labels_file)
        if path is None:
            raise UserError(
                f"{self.source} has no train/{self.labels_file}; give the "
                "folder of the download as --source."
            )
        return dict(_read_labels(path))

    def _training(
        self, labels: Mapping[str, int]
    ) -> dict[str, list[ListedPhoto]]:
        landmarks = sorted({str(label) for label in labels.values()})
        assigned = splits.assign(landmarks, self._validation, 0)
        chosen = {
            landmark: split
            for split, members in assigned.items()
            for landmark in members
        }
        listing: dict[str, list[ListedPhoto]] = {
            split: [] for split in assigned
        }
        for photo in self._listed("train", labels, labels):
            listing[chosen[photo.landmark]].append(photo)
        return {
            split: shuffled(listed, split) for split, listed in listing.items()
        }

    def _listed(
        self, folder: str, names: Collection[str], labels: Mapping[str, int]
    ) -> Iterator[ListedPhoto]:
        root = self._folder(folder)
        first = next(iter(names), "")
        nested = tf.io.gfile.isdir(os.path.join(root, first[:1]))
        # One text a landmark, not one a photo.
        texts = {label: str(label) for label in set(labels.values())}
        for name in names:
            parts = (*name[:3], f"{name}.jpg") if nested else (f"{name}.jpg",)
            label = labels.get(name, UNKNOWN)
            path = os.path.join(root, *parts)
            yield ListedPhoto(path, name, texts.get(label, ""), label)

    def _folder(self, name: str) -> str:
        folder = self.path(name)
        return folder if tf.io.gfile.isdir(folder) else self.source

    def _file(self, folder: str, name: str) -> str | None:
        for path in (self.path(folder, name), self.path(name)):
            if tf.io.gfile.exists(path):
                return path
        return None


class GoogleLandmarksV2(GoogleLandmarksV1, skip_registration=True):
    """Google Landmarks v2, 203,094 landmarks, with its two tests.

    train/, index/ and test/ as the publisher's script leaves them. Beyond the
    splits of v1, as far as their files are there:

    "test": the index, 762 thousand photos, and the queries of
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

    def photos(self) -> Mapping[str, list[ListedPhoto]]:
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
        names = [name for (name,) in read_rows(index, ["id"])]
        with local_copy(solution) as copy:
            self._truth = read_retrieval_solution(copy, names)
        known = self._file("index", "index_image_to_landmark.csv")
        labels = {} if known is None else dict(_read_labels(known))
        queries = self._listed("test", self._truth.query_names, {})
        return {"test": [*self._listed("index", names, labels), *queries]}

    def _recognition(self, trained: set[int]) -> dict[str, list[ListedPhoto]]:
        solution = self._file("test", _RECOGNITION)
        if solution is None:
            return {}
        labels, landmarks = {}, set()
        for name, shown, usage in read_rows(
            solution, ["id", "landmarks", "Usage"]
        ):
            if usage != "Ignored":
                known = [int(label) for label in shown.split()]
                labels[name] = known[0] if known else UNKNOWN
                landmarks.update(known)
        self.note(
            f"Training has {len(landmarks & trained):,} of the "
            f"{len(landmarks):,} landmarks of the recognition test."
        )
        return {"recognition": list(self._listed("test", labels, labels))}


class GoogleLandmarksV2Clean(GoogleLandmarksV2, skip_registration=True):
    """As GoogleLandmarksV2, with the 1,580,470 photos of 81,313 landmarks of
    train_clean.csv (landmark_id,images).
    """

    labels_file = "train_clean.csv"
    overlap = (
        "Google Landmarks v2 clean shares landmarks with 38 of the 70 queries "
        "of ROxford5k and 36 of the 70 of RParis6k."
    )


def _read_labels(path: str) -> Iterator[tuple[str, int]]:
    """Yields identifier and landmark of each labelled photo."""
    grouped = os.path.basename(path) == GoogleLandmarksV2Clean.labels_file
    columns = ["landmark_id", "images" if grouped else "id"]
    for landmark, identifiers in read_rows(path, columns):
        if landmark in _NONE:
            continue
        if not landmark.isdecimal():
            raise UserError(
                f"{path} has landmark {landmark!r} instead of a number; "
                "download it again."
            )
        for identifier in identifiers.split():
            yield identifier, int(landmark)
