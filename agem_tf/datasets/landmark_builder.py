"""Base of the dataset builders.

A builder lists items, and makes the examples of one item without knowing the
others, so that any process of any machine can write a part of the records.
These are ordinary TFRecords of tensorflow-datasets, which all its tools read.
"""

import abc
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from agem_tf.datasets.prepared import Split
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.photos.listing import Example

# Called with the name of a bad photo and its error, which it raises or records.
Skip = Callable[[str, UserError], None]


class _LocalInfo(tfds.core.DatasetInfo):
    """Information on a dataset that is not looked up in TFDS' bucket."""

    def initialize_from_bucket(self) -> None:
        """Does nothing; TFDS would leave an empty temporary folder."""


class LandmarkBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Photos of landmarks with a query box each.

    Every example has `image` (encoded bytes), `name` (unique in its split),
    `landmark` (its name), `label` (an integer, equal for equal landmarks, -1
    for unlabelled photos) and `box` (x1, y1, x2, y2 in pixels of the photo as
    decoded, to which a query is cropped; zeros for the whole photo).

    `agem_tf.datasets.preparation` writes the records. `download_and_prepare`
    of TFDS writes the same examples in one process.

    Attributes:
        protocol: Name of the protocol that scores the dataset.
        units: Name of the items, in the plural.
        items_per_file: Largest number of items per record file, unless there
            are too many files.
        skip_bad: Whether bad photos are skipped instead of stopping.
        skipped: {"photo", "reason"} of the photos skipped while listing.
        allow_missing: Whether missing photos are skipped.
        missing: Names of the photos that the source lists but lacks.
    """

    VERSION = tfds.core.Version("1.0.0")
    protocol = "revisited"
    units = "photos"
    items_per_file = 512

    def __init__(
        self,
        *,
        data_dir: str,
        skip_bad: bool = False,
        allow_missing: bool = False,
    ):
        self.skip_bad, self.allow_missing = skip_bad, allow_missing
        self.skipped: list[dict[str, str]] = []
        self.missing: list[str] = []
        super().__init__(data_dir=data_dir)

    @abc.abstractmethod
    def listing(self) -> Mapping[str, Collection[NamedTuple]]:
        """Returns the items of each split, in the order of the records.

        An item is a named tuple of plain values.

        Raises:
            UserError: The source is missing, empty or malformed.
        """

    @classmethod
    @abc.abstractmethod
    def examples(cls, item: Sequence[Any], skip: Skip) -> Iterator[Example]:
        """Makes the examples of one item.

        Args:
            item: Values of the item, as read from JSON.
            skip: Called with the name of a bad photo and its error.
        """

    @abc.abstractmethod
    def ground_truth(self, split: Split) -> GroundTruth | None:
        """Returns the ground truth of a split, None if it has no queries.

        It may contain photos that are not in the split.

        Args:
            split: The split as written.
        """

    def pairs(self, split: str) -> Sequence[tuple[str, str]] | None:
        """Returns the names of queries and their positives.

        They may contain photos that are not in the split. None if the source
        lists no pairs.
        """
        del split
        return None

    def notes(self) -> list[str]:
        """Returns sentences that belong beside every score."""
        return []

    @classmethod
    def extra_features(cls) -> dict[str, Any]:
        """Returns TFDS features that a subclass adds to every example."""
        return {}

    @classmethod
    def features(cls) -> tfds.features.FeaturesDict:
        """Returns the TFDS features of an example."""
        common = {
            "image": tfds.features.Image(),
            "name": tfds.features.Text(),
            "landmark": tfds.features.Text(),
            "label": tfds.features.Scalar(np.int64),
            "box": tfds.features.Tensor(shape=(4,), dtype=np.float32),
        }
        return tfds.features.FeaturesDict(common | cls.extra_features())

    def skip(self, name: str, error: UserError) -> None:
        """Raises the error, or records the photo as skipped."""
        if not self.skip_bad:
            raise error
        self.skipped.append(skipped_entry(name, error))

    def _info(self) -> tfds.core.DatasetInfo:
        return _LocalInfo(
            builder=self,
            features=self.features(),
            description=type(self).__doc__,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        del dl_manager  # Nothing is downloaded.
        return {
            split: self._generate_examples(items)
            for split, items in self.listing().items()
        }

    def _generate_examples(self, items: Collection[NamedTuple]) -> Iterator:
        for item in items:
            for example in self.examples(item, self.skip):
                yield example["name"], example


def skipped_entry(name: str, error: UserError) -> dict[str, str]:
    """Returns the entry of a skipped photo in the manifest."""
    # Escaped where a terminal could not print it.
    shown = name if name.isprintable() else repr(name)
    return {"photo": shown, "reason": str(error)}


def shuffling_key(split: str, item: NamedTuple) -> bytes:
    """Returns the hash of the `name` of an item, by which a split is sorted.

    TFDS does so too. Readers that stream the records then get the landmarks
    mixed.
    """
    text = f"{split}{item.name}"
    return hashlib.md5(text.encode(), usedforsecurity=False).digest()
