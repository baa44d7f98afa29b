"""Which photos a folder holds, at any depth and under any names."""

import os
import pathlib

from agem_tf.data import photos
from agem_tf.data.photo_listing import is_hidden
from agem_tf.errors import UserError


def list_photos(folder: str) -> list[str]:
    """Lists the photos of a folder and of the folders in it.

    Args:
        folder: is searched without following links to folders; what is hidden
            or has no suffix of a photo is left aside.

    Returns:
        Absolute paths, sorted folder by folder.

    Raises:
        UserError: the folder is missing or holds no photo.
    """
    root = os.path.abspath(os.path.expanduser(folder))
    if not os.path.isdir(root):
        raise UserError(f"No folder at {folder}; give --photos=DIR.")
    found = []
    for directory, subfolders, files in os.walk(root):
        subfolders[:] = sorted(n for n in subfolders if not is_hidden(n))
        found += [
            os.path.join(directory, file)
            for file in sorted(files)
            if _is_photo(file)
        ]
    if not found:
        raise UserError(
            f"{folder} holds no photo; photos end in "
            f"{', '.join(sorted(photos.SUFFIXES))}."
        )
    return found


def _is_photo(file: str) -> bool:
    suffix = pathlib.PurePath(file).suffix.lower()
    return suffix in photos.SUFFIXES and not is_hidden(file)
