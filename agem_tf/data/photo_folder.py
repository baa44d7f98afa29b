"""The user's own photos: one folder a landmark, or a CSV that names them."""

from collections.abc import Iterator, Mapping

import numpy as np

from agem_tf.data import photos, splits
from agem_tf.data.landmark_builder import Example, LandmarkBuilder
from agem_tf.data.photo_listing import ListedPhoto, check_name, list_photos
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth


class PhotoFolder(LandmarkBuilder, skip_registration=True):
    """Photos in `source`: a folder of one folder a landmark, or a CSV.

    The CSV has rows `path,landmark` or `path,landmark,x1,y1,x2,y2`: pixels of
    the photo as seen, after its EXIF rotation, x to the right and y down. See
    `photo_listing.list_photos`. Every photo of a split is a query, searched for
    among the others of the split.
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
        """Lists the photos.

        Args:
            data_dir: where the records go.
            source: the folder or the CSV.
            validation, test: a share, 0 for none, or names of landmarks; see
                `splits.assign`.
            skip_bad: leave out unreadable photos, names that are no text,
                empty landmarks and landmarks with one photo instead of
                stopping.

        Raises:
            UserError: the source is missing, empty or malformed, or a split
                names no landmark of it.
        """
        super().__init__(data_dir=data_dir)
        self._skip_bad = skip_bad
        self._listed = list_photos(source)
        landmarks = sorted(filter(self._has_sound_name, self._listed))
        self._splits = splits.assign(landmarks, validation, test)
        self._labels = {name: i for i, name in enumerate(landmarks)}

    def examples(self) -> Mapping[str, Iterator[Example]]:
        return {
            split: self._split_examples(landmarks)
            for split, landmarks in self._splits.items()
        }

    def ground_truth(
        self,
        split: str,
        names: list[str],
        labels: np.ndarray,
        boxes: np.ndarray,
    ) -> GroundTruth:
        del split  # All are alike.
        return GroundTruth.from_labels(names, labels, boxes)

    def _has_sound_name(self, landmark: str) -> bool:
        try:
            check_name(landmark)
        except UserError as error:
            self._skip(landmark, error)
            return False
        return True

    def _split_examples(self, landmarks: list[str]) -> Iterator[Example]:
        for landmark in landmarks:
            yield from self._landmark_examples(landmark)

    def _landmark_examples(self, landmark: str) -> Iterator[Example]:
        first, count = None, 0
        for listed in self._listed[landmark]:
            try:
                example = self._example(listed)
            except UserError as error:
                self._skip(listed.name, error)
                continue
            count += 1
            # Held back until a second photo shows that the landmark is usable.
            if count == 1:
                first = example
                continue
            if count == 2:
                yield first
            yield example
        if count < 2:
            self._skip(
                landmark,
                UserError(
                    f"Landmark {landmark!r} has {count} usable photo(s), two "
                    "are needed; add photos, remove it, or pass --skip_bad."
                ),
            )

    def _example(self, listed: ListedPhoto) -> Example:
        check_name(listed.name)
        photo = photos.read(listed.path)
        if listed.box:
            _check_box(listed, listed.box, photo)
        return {
            "image": photo.encoded,
            "name": listed.name,
            "landmark": listed.landmark,
            "label": self._labels[listed.landmark],
            "box": np.asarray(listed.box or (0, 0, 0, 0), np.float32),
        }

    def _skip(self, name: str, error: UserError) -> None:
        if not self._skip_bad:
            raise error
        # Escaped, as far as a terminal could not print it.
        shown = name if name.isprintable() else repr(name)
        self.skipped.append({"photo": shown, "reason": str(error)})


def _check_box(
    listed: ListedPhoto, box: tuple[float, ...], photo: photos.EncodedPhoto
) -> None:
    x1, y1, x2, y2 = box
    if not (0 <= x1 < x2 <= photo.width and 0 <= y1 < y2 <= photo.height):
        raise UserError(
            f"The box {box} of {listed.path} is not inside its "
            f"{photo.width} x {photo.height} pixels; correct x1,y1,x2,y2."
        )
