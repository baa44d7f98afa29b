"""Base of the builders of public data sets.

Their photos are listed by published files. So photos may be missing, and the
names in these files are checked before they are used as paths.
"""

import abc
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from etils import epath

from agem_tf.datasets.landmark_builder import LandmarkBuilder, Skip
from agem_tf.datasets.prepared import Split
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.files.locations import any_location
from agem_tf.photos import encoding
from agem_tf.photos.listing import Example, ListedPhoto, check_name


class PublishedDataset(LandmarkBuilder, skip_registration=True):
    """Photos below `source`, listed by a published file.

    Photos keep the orientation in which they decode: the benchmarks were
    annotated, and are scored by their authors, without EXIF rotations.

    Attributes:
        published_photos: number of photos per split in the complete data set.
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
            data_dir: Directory to write the records to.
            source: Local or remote (gs://) folder of the download.
            skip_bad: Whether to skip unreadable photos instead of stopping.
            allow_missing: Whether to skip missing photos instead of stopping.
        """
        super().__init__(
            data_dir=data_dir, skip_bad=skip_bad, allow_missing=allow_missing
        )
        self.source = os.path.expanduser(source).rstrip("/")
        self._notes: list[str] = []

    @abc.abstractmethod
    def photos(self) -> Mapping[str, Collection[ListedPhoto]]:
        """Returns the photos of each split that the published files list."""

    def listing(self) -> Mapping[str, Collection[ListedPhoto]]:
        check_source(self.source)
        listing = self.photos()
        for split, listed in listing.items():
            self._check_listed(split, listed)
        missing = find_missing(
            photo.path for listed in listing.values() for photo in listed
        )
        if not missing:
            return listing
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
            photo = encoding.read_encoded_photo(listed.path, upright=False)
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
        """Returns the path of the first candidate that exists.

        Raises:
            UserError: None of them exists; the message names them.
        """
        for name in candidates:
            if epath.Path(self.path(name)).exists():
                return self.path(name)
        raise UserError(
            f"{self.source} has no {' or '.join(candidates)}; give the folder "
            "of the download as --source."
        )

    def _check_listed(
        self, split: str, listed: Collection[ListedPhoto]
    ) -> None:
        for photo in listed:
            check_name(photo.name, "download the published files again")
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
    """Checks that the source of a public data set is a folder.

    Raises:
        UserError: The source is empty or not a folder.
    """
    if not source:
        raise UserError(
            "A public dataset needs --source=DIR (data.source in a recipe), "
            "the folder of its download."
        )
    if not any_location(source, "--source").is_dir():
        raise UserError(f"No folder at {source}; give --source=DIR.")


def find_missing(paths: Iterable[str]) -> set[str]:
    """Returns the local or remote paths at which no file exists.

    Each folder is listed once, which over a network is a thousand times
    faster than a million requests.

    Raises:
        UserError: A folder exists but cannot be listed.
    """
    folders: dict[str, frozenset[str]] = {}
    missing = set()
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = _file_names(epath.Path(folder))
        if name not in folders[folder]:
            missing.add(path)
    return missing


def _file_names(folder: epath.Path) -> frozenset[str]:
    try:
        return frozenset(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except OSError as error:
        raise UserError(
            f"{folder} cannot be listed ({error.strerror}); change its "
            "permissions."
        ) from error
