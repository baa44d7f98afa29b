"""Photos for pages, found by the names that descriptors carry."""

import functools
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image

from agem_tf.datasets.prepared import Split
from agem_tf.errors import UserError
from agem_tf.native_output import captured
from agem_tf.photos import reading
from agem_tf.photos.upright_rgb import to_rgb

_LOG = logging.getLogger(__name__)

# The name of a photo -> the photo, or None if it is not at hand.
Photos = Callable[[str], Image.Image | None]

_SUFFIXES = ("", ".jpg", ".jpeg", ".png")
# Subfolder of the photos in the downloads of revisited Oxford and Paris.
_FOLDERS = ("", "jpg")


def no_photos(name: str) -> None:
    """Finds no photo, so that a page shows names."""
    return None


def photos_in_folder(
    directory: str | os.PathLike, upright: bool = True
) -> Photos:
    """Returns a function that finds the photos of a folder.

    Ground truths come from elsewhere: no name leads out of the folder, and an
    unreadable file counts as missing.

    Args:
        directory: folder of NAME, NAME.jpg or jpg/NAME.jpg, or .jpeg or .png.
        upright: whether to apply the EXIF orientation. The boxes of public
            benchmarks are those of the photos without it.
    """
    return functools.partial(_find_file, Path(directory).resolve(), upright)


def report_absence(
    shown: Mapping[str, object | None], folder: str | None, option: str
) -> None:
    """Logs one line if a page names photos and shows none of them.

    Args:
        shown: name of each photo -> the photo, None if it was not found.
        folder: folder that was searched; None for the working directory.
        option: name of the option that names the folder.
    """
    if shown and all(photo is None for photo in shown.values()):
        _LOG.warning(
            "None of the page's %d photos is in %s, so it has only their "
            "names; give the folder that the names are relative to as "
            "--%s=DIR.",
            len(shown),
            folder or "the working directory",
            option,
        )


def photos_of_split(split: Split) -> Photos:
    """Returns a function that finds the photos of a prepared split.

    A photo whose record is damaged counts as missing: its name is shown, and
    the scores beside it are not lost.
    """
    position = {name: i for i, name in enumerate(split.names)}

    def find(name: str) -> Image.Image | None:
        if name not in position:
            return None
        try:
            return load_photo(split, position[name])
        except UserError:
            return None

    return find


def load_photo(split: Split, index: int) -> Image.Image:
    """Returns a photo of a split as it was prepared.

    Raises:
        UserError: its record is damaged, or holds no photo.
    """
    # A page of names, or of a folder's photos, needs no TensorFlow.
    with captured():
        from agem_tf.datasets.record_features import encoded_photo

    name = split.names[index]
    encoded = encoded_photo(split.read(index), name)
    with reading.opened(encoded, name) as photo:
        return to_rgb(photo, upright=False)


def _find_file(root: Path, upright: bool, name: str) -> Image.Image | None:
    if "\0" in name:
        return None
    for folder in _FOLDERS:
        for suffix in _SUFFIXES:
            path = (root / folder / f"{name}{suffix}").resolve()
            if path.is_relative_to(root) and path.is_file():
                try:
                    encoded = reading.read_photo_file(path)
                    with reading.opened(encoded, name) as photo:
                        return to_rgb(photo, upright)
                except UserError:
                    return None
    return None
