"""The user's own photos: one folder per landmark, or a CSV that lists them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agem_tf.datasets import splits
from agem_tf.datasets.landmark_builder import LandmarkBuilder, Skip, shuffled
from agem_tf.datasets.prepared import Split
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.photos import encoding
from agem_tf.photos.boxes import check_box
from agem_tf.photos.listing import (
    Example,
    ListedPhoto,
    check_name,
    list_landmarks,
)


class PhotoFolder(LandmarkBuilder, skip_registration=True):
    """Photos in `source`: a folder with one folder per landmark, or a CSV.

    The CSV has rows `path,landmark` or `path,landmark,x1,y1,x2,y2`: pixels of
    the upright photo, after its EXIF rotation, x to the right and y down; see
    `agem_tf.photos.listing.list_landmarks`. Every photo of a split is a query,
    which searches the other photos of the split.
    """

    def __init__(
        self,
        *,
        data_dir: str,
        source: str = "",
        validation: splits.Selection = 0.1,
        test: splits.Selection = 0.2,
        skip_bad: bool = False,
    ):
        """Sets what is read.

        Args:
            data_dir: Directory to write the records to.
            source: The folder or the CSV.
            validation, test: A share, 0 for none, or names of landmarks; see
                `splits.assign_landmarks`.
            skip_bad: Whether to skip unreadable photos, names that are not
                text and landmarks with fewer than two photos instead of
                stopping. A landmark of which only one photo is readable stays.
        """
        super().__init__(data_dir=data_dir, skip_bad=skip_bad)
        self._source, self._shares = source, (validation, test)

    def listing(self) -> Mapping[str, list[ListedPhoto]]:
        listed = list_landmarks(self._source)
        landmarks = sorted(filter(self._has_usable_name, listed))
        labels = {name: i for i, name in enumerate(landmarks)}
        usable = {
            landmark: [
                photo._replace(label=labels[landmark])
                for photo in self._usable(landmark, listed[landmark])
            ]
            for landmark in landmarks
        }
        assigned = splits.assign_landmarks(landmarks, *self._shares)
        return {
            split: shuffled(
                (photo for name in names for photo in usable[name]), split
            )
            for split, names in assigned.items()
        }

    @classmethod
    def examples(cls, item: Sequence[Any], skip: Skip) -> Iterator[Example]:
        listed = ListedPhoto(*item)
        try:
            photo = encoding.read_encoded_photo(listed.path)
            if listed.box:
                check_box(
                    tuple(listed.box),
                    (photo.width, photo.height),
                    listed.path,
                    "correct x1,y1,x2,y2",
                )
        except UserError as error:
            skip(listed.name, error)
        else:
            yield listed.example(photo)

    def ground_truth(self, split: Split) -> GroundTruth:
        return GroundTruth.from_labels(split.names, split.labels, split.boxes)

    def _has_usable_name(self, name: str) -> bool:
        try:
            check_name(name)
        except UserError as error:
            self.skip(name, error)
            return False
        return True

    def _usable(
        self, landmark: str, listed: Sequence[ListedPhoto]
    ) -> list[ListedPhoto]:
        usable = [
            photo for photo in listed if self._has_usable_name(photo.name)
        ]
        if len(usable) > 1:
            return usable
        self.skip(
            landmark,
            UserError(
                f"Landmark {landmark!r} has {len(usable)} usable photo(s), two "
                "are needed; add photos, remove it, or pass --skip_bad."
            ),
        )
        return []
