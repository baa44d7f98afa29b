"""Lists of photo names and arrays on disk, with errors that name the file."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agem_tf.errors import UserError

# What NumPy and zipfile raise for an .npz file with flipped bits; RuntimeError
# is for flags that say "encrypted" or "compressed in an unknown way".
_DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
)


def check_names(names: Sequence[str], meaning: str) -> list[str]:
    """Returns `names` as a list whose entries each fit on one line of a file.

    Raises:
        UserError: a name is empty or contains a line break.
    """
    for name in names:
        if not name or "\n" in name or "\r" in name:
            raise UserError(
                f"{meaning} must be non-empty and free of line breaks; rename "
                f"the photo. Received: {name!r}"
            )
    return list(names)


def write_names(path: Path, names: Sequence[str]) -> None:
    """Writes one name per line, also names that are not valid UTF-8."""
    text = "".join(f"{name}\n" for name in names)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))


def read_names(path: Path) -> list[str]:
    """Reads what `write_names` or a text editor wrote.

    Only the newline separates: photos may have U+2028 in their names.
    """
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    return lines if text else []


def load_array(path: Path, mmap: bool = False) -> np.ndarray:
    """Loads an .npy file, optionally without reading it into memory.

    Raises:
        UserError: the file is missing, truncated or not an array.
    """
    try:
        return np.load(path, mmap_mode="r" if mmap else None)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(
            f"{path} is not a readable array; copy or write it again."
        ) from error


def load_arrays(
    path: Path, names: Sequence[str], remedy: str
) -> dict[str, np.ndarray]:
    """Loads arrays of an .npz file.

    Args:
        path: of the file.
        names: of the arrays.
        remedy: what the user can do about a damaged file; it ends the error's
            sentence, such as "learn it again".

    Returns:
        The arrays in the order of `names`.

    Raises:
        UserError: the file is missing or damaged, or lacks one of the arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names}
    except _DAMAGE as error:
        raise UserError(
            f"{path} is not readable ({error}); {remedy}."
        ) from error
