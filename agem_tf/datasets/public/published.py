"""What the builders of public data sets share.

Somebody else has listed the photos, so a part of them may be missing; and what
is listed comes from strangers.
"""

import abc
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from agem_tf.datasets.completeness import find_missing
from agem_tf.datasets.landmark_builder import LandmarkBuilder, Skip
from agem_tf.datasets.prepared import Split
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.photos import reading
from agem_tf.photos.listing import Example, ListedPhoto, check_name


class PublishedDataset(LandmarkBuilder, skip_registration=True):
    """Photos below `source`, which a published file names.

    Photos are kept as they decode: the benchmarks were annotated, and are
    scored by their authors, without regard to EXIF rotations.

    Attributes:
        published_photos: how many photos each split has where it is complete.
    """

    published_photos: Mapping[str, int] = {}

    def __init__(
        self,
        *,
        data_dir: str,
        source: str = "",
        skip_bad: bool = False,
        allow_missing: bool = False,
    ):
        """Sets what is read.

        Args:
            data_dir: where the records go.
            source: the folder of the download, on any file system that
                TensorFlow knows.
            skip_bad: leave out unreadable photos instead of stopping.
            allow_missing: leave out missing photos instead of stopping.
        """
        super().__init__(
            data_dir=data_dir, skip_bad=skip_bad, allow_missing=allow_missing
        )
        self.source = os.path.expanduser(source).rstrip("/")
        self._notes: list[str] = []

    @abc.abstractmethod
    def photos(self) -> Mapping[str, list[ListedPhoto]]:
        """Returns the photos of each split that the published files name."""

    def listing(self) -> Mapping[str, list[ListedPhoto]]:
        check_source(self.source)
        listing = self.photos()
        for split, listed in listing.items():
            self._check_listed(split, listed)
        missing = find_missing(
            photo.path for listed in listing.values() for photo in listed
        )
        self.missing = sorted(
            path.removeprefix(f"{self.source}/") for path in missing
        )
        return {
            split: [photo for photo in listed if photo.path not in missing]
            for split, listed in listing.items()
        }

    @classmethod
    def examples(cls, item: Sequence[Any], skip: Skip) -> Iterator[Example]:
        listed = ListedPhoto(*item)
        try:
            photo = reading.read(listed.path, upright=False)
        except UserError as error:
            skip(listed.name, error)
        else:
            yield listed.example(photo)

    def ground_truth(self, split: Split) -> GroundTruth | None:
        del split
        return None

    def notes(self) -> list[str]:
        return list(self._notes)

    def note(self, sentence: str) -> None:
        """Adds a sentence that belongs beside every score."""
        self._notes.append(sentence)

    def path(self, *names: str) -> str:
        """Returns the path of a file below `source`."""
        return os.path.join(self.source, *names)

    def find(self, *candidates: str) -> str:
        """Returns the path of the first file that exists.

        Raises:
            UserError: none does; they are named.
        """
        for name in candidates:
            if tf.io.gfile.exists(self.path(name)):
                return self.path(name)
        raise UserError(
            f"{self.source} has no {' or '.join(candidates)}; give the folder "
            "of the download as --source."
        )

    def _check_listed(self, split: str, listed: list[ListedPhoto]) -> None:
        for photo in listed:
            check_name(photo.name)
            if photo.name.startswith("/") or ".." in photo.name.split("/"):
                raise UserError(
                    f"The photo {photo.name!r} would lie outside "
                    f"{self.source}; download the published files again."
                )
        expected = self.published_photos.get(split, len(listed))
        if len(listed) != expected:
            self.note(
                f"Split {split} lists {len(listed):,} photos, not the "
                f"{expected:,} of the publication."
            )


def check_source(source: str) -> None:
    """Refuses a source that is no folder.

    Raises:
        UserError: it is empty, or no folder stands there.
    """
    if not source:
        raise UserError(
            "A public dataset needs --source=DIR (data.source in a recipe), "
            "the folder of its download."
        )
    if not tf.io.gfile.isdir(source):
        raise UserError(f"No folder at {source}; give --source=DIR.")
