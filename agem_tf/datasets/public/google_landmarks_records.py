"""Google Landmarks from the TFRecords that DELF's tools have made of it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from agem_tf.datasets.landmark_builder import LandmarkBuilder, Skip
from agem_tf.datasets.prepared import Split
from agem_tf.datasets.public.google_landmarks import GoogleLandmarksV2
from agem_tf.datasets.public.published import check_source
from agem_tf.datasets.records import RecordFile
from agem_tf.datasets.remote import local_copy
from agem_tf.errors import UserError
from agem_tf.photos import reading
from agem_tf.photos.listing import Example, ListedPhoto

_SPLITS = ("train", "validation", "test")
_FILE = re.compile(rf"({'|'.join(_SPLITS)})-\d{{5}}-of-(\d{{5}})")
_NAME, _PHOTO, _LABEL = "image/id", "image/encoded", "image/class/label"


class PublishedFile(NamedTuple):
    """One of the source's TFRecord files, an item of the dataset."""

    path: str


class GoogleLandmarksRecords(LandmarkBuilder, skip_registration=True):
    """Photos of `source`/train-00000-of-00128 and so on, validation-, test-.

    Their records have image/encoded, image/id and, but for the test,
    image/class/label (https://github.com/tensorflow/models, research/delf).
    There is no ground truth.
    """

    protocol = "gldv2"
    units = "files"
    # One for one: the photos of a published file are mixed already.
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

    def listing(self) -> Mapping[str, list[PublishedFile]]:
        check_source(self._source)
        there = set(tf.io.gfile.listdir(self._source))
        matches = filter(None, map(_FILE.fullmatch, there))
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
        self.missing = sorted(set().union(*wanted.values()) - there)
        return {
            split: [
                PublishedFile(f"{self._source}/{name}")
                for name in wanted[split]
                if name in there
            ]
            for split in _SPLITS
            if split in wanted
        }

    @classmethod
    def examples(cls, item: Sequence[Any], skip: Skip) -> Iterator[Example]:
        path = PublishedFile(*item).path
        for feature in _features(path):
            listed = _listed(path, feature)
            encoded = feature[_PHOTO].bytes_list.value[0]
            try:
                photo = reading.check(encoded, listed.name, upright=False)
            except UserError as error:
                skip(listed.name, error)
            else:
                yield listed.example(photo)

    def ground_truth(self, split: Split) -> None:
        return None

    def notes(self) -> list[str]:
        return [GoogleLandmarksV2.overlap]


def _features(path: str) -> Iterator[Mapping[str, Any]]:
    """Yields the features of each record."""
    with local_copy(path) as copy:
        file = RecordFile(copy)
        for _, payload in file.scan():
            feature = tf.train.Example.FromString(payload).features.feature
            if _NAME not in feature or _PHOTO not in feature:
                raise UserError(
                    f"{path} has a record without {_NAME} or {_PHOTO}; give "
                    "the TFRecords of DELF's tools."
                )
            yield feature
        file.close()


def _listed(path: str, feature: Mapping[str, Any]) -> ListedPhoto:
    name = feature[_NAME].bytes_list.value[0].decode()
    if _LABEL not in feature:
        return ListedPhoto(path, name)
    label = feature[_LABEL].int64_list.value[0]
    return ListedPhoto(path, name, str(label), label)
