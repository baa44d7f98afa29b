"""Photos in a folder, found by the names that descriptors carry."""

import os
from pathlib import Path

from PIL import Image

_SUFFIXES = ("", ".jpg", ".jpeg", ".png")
# Where the downloads of revisited Oxford and Paris have theirs.
_FOLDERS = ("", "jpg")


class PhotoFolder:
    """Finds photos for pictures of rank lists; call it with a name.

    Names come from ground truths of strangers: nothing outside the folder is
    opened, and what cannot be read is as good as missing.

    Args:
        directory: has NAME, NAME.jpg or jpg/NAME.jpg, or .jpeg or .png.
    """

    def __init__(self, directory: str | os.PathLike) -> None:
        self._root = Path(directory).resolve()

    def __call__(self, name: str) -> Image.Image | None:
        """Returns the photo of a name, or None."""
        if "\0" in name:
            return None
        for folder in _FOLDERS:
            for suffix in _SUFFIXES:
                path = (self._root / folder / f"{name}{suffix}").resolve()
                if path.is_relative_to(self._root) and path.is_file():
                    return _open(path)
        return None


def _open(path: Path) -> Image.Image | None:
    try:
        photo = Image.open(path)
        photo.load()
    # Pillow's readers raise more types than they document.
    except Exception:
        return None
    return photo
