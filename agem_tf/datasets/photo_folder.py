"""The user's own photos: one folder per landmark, or a CSV that lists them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agem_tf.datasets import splits
from agem_tf.datasets.landmark_builder import (
    LandmarkBuilder,
    Skip,
    shuffling_key,
)
from agem_tf.datasets.prepared import Split
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.files.stored_items import StoredItems
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

    def listing(self) -> Mapping[str, StoredItems[ListedPhoto]]:
        counts, listed = list_landmarks(self._source)
        landmarks = sorted(filter(self._has_usable_name, counts))
        labels = {name: i for i, name in enumerate(landmarks)}
        badly_named = set()
        for photo in listed:
            if photo.landmark in labels and not self._has_usable_name(
                photo.name
            ):
                badly_named.add(photo.path)
                counts[photo.landmark] -= 1
        for landmark in landmarks:
            if counts[landmark] < 2:
                self._skip_landmark(landmark, counts[landmark])

        assigned = splits.assign_landmarks(landmarks, *self._shares)
        split_of = {
            name: split
            for split, names in assigned.items()
            for name in names
            if counts[name] > 1
        }

        def placed() -> Iterator[tuple[str, ListedPhoto]]:
            for photo in listed:
                split = split_of.get(photo.landmark)
                if split is not None and photo.path not in badly_named:
                    label = labels[photo.landmark]
                    yield split, photo._replace(label=label)

        return StoredItems.by_group(
            ListedPhoto, assigned, placed(), shuffling_key
        )

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

    def _skip_landmark(self, landmark: str, usable: int) -> None:
        self.skip(
            landmark,
            UserError(
                f"Landmark {landmark!r} has {usable} usable photo(s), two "
                "are needed; add photos, remove it, or pass --skip_bad."
            ),
        )
