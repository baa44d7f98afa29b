"""What every dataset builder of this package shares.

The records are ordinary tensorflow-datasets TFRecords, so any TFDS tool reads
them; a subclass only says which photos there are and what answers a query.
"""

import abc
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.progress import Progress

Example = dict[str, Any]


class LandmarkBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Photos of landmarks with a query box each.

    Every example has `image` (encoded bytes), `name` (unique in the dataset),
    `landmark` (its name), `label` (an integer, equal for equal landmarks) and
    `box` (x1, y1, x2, y2 in pixels of the photo as seen, after its EXIF
    rotation: what is searched for when the photo is a query; zeros for the
    whole photo).

    Attributes:
        skipped: {"photo", "reason"} of each photo that was left out.
    """

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, *, data_dir: str):
        self.skipped: list[dict[str, str]] = []
        super().__init__(data_dir=data_dir)

    @abc.abstractmethod
    def examples(self) -> Mapping[str, Iterator[Example]]:
        """Returns the examples of each split."""

    @abc.abstractmethod
    def ground_truth(
        self,
        split: str,
        names: list[str],
        labels: np.ndarray,
        boxes: np.ndarray,
    ) -> GroundTruth:
        """Returns what answers the queries among the photos of one split.

        Args:
            split: its name.
            names: of the split's photos, in the order of the records.
            labels: (photos,) landmark of each.
            boxes: (photos, 4) query box of each.
        """

    def extra_features(self) -> dict[str, Any]:
        """Returns TFDS features that a subclass adds to every example."""
        return {}

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(),
            "name": tfds.features.Text(),
            "landmark": tfds.features.Text(),
            "label": tfds.features.Scalar(np.int64),
            "box": tfds.features.Tensor(shape=(4,), dtype=np.float32),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                features | self.extra_features()
            ),
            description=type(self).__doc__,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        del dl_manager  # Nothing is downloaded.
        splits = self.examples()
        if not splits:
            raise UserError("The dataset must have at least one landmark.")
        return {
            split: self._generate_examples(examples, split)
            for split, examples in splits.items()
        }

    def _generate_examples(
        self, examples: Iterator[Example], split: str
    ) -> Iterator:
        written = 0
        with Progress(f"Writing {split}", None, "photos") as progress:
            for example in examples:
                yield example["name"], example
                progress.update(1)
                written += 1
        if not written:
            raise UserError(
                f"Split {split} has no usable photo; repair those that were "
                "skipped, or choose other landmarks for it."
            )
