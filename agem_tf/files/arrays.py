"""Lists of photo names and arrays on disk, with errors that name the file.

Files are not trusted: an array takes no more memory than its file has bytes,
and holds nothing but numbers and texts.
"""

import io
import math
import tokenize
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from agem_tf.errors import UserError, cause
from agem_tf.files.locations import (
    Location,
    check_file,
    is_remote,
    read_file,
)

# What NumPy and zipfile raise for files with flipped bits; RuntimeError is for
# flags that say "encrypted" or "compressed in an unknown way".
_DAMAGE = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    MemoryError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
)
_ITEM_KINDS = "biufSU"


def check_names(names: Sequence[str], meaning: str) -> list[str]:
    """Returns `names` as a list, each of which fits on one line of a file.

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
    """Reads what `write_names` or a text editor wrote."""
    return split_names(read_file(path))


def split_names(content: bytes) -> list[str]:
    """Returns the lines of a list of names, also those not in UTF-8.

    Only the newline separates: photos may have U+2028 in their names.
    """
    text = content.decode("utf-8", "surrogateescape")
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    return lines if text else []


def write_array(path: Path, array: np.ndarray) -> None:
    """Writes an .npy file.

    Unlike `np.save`, whose error does not say that the disk is full.
    """
    array = np.ascontiguousarray(array)
    header = np.lib.format.header_data_from_array_1_0(array)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.write(array.data)


def load_array(path: Path, mmap: bool = False) -> np.ndarray:
    """Loads an .npy file, optionally without reading it into memory.

    Raises:
        UserError: the file is missing, truncated or not an array.
    """
    check_file(path)
    try:
        with Path(path).open("rb") as file:
            _check_header(file, Path(path).stat().st_size)
        return np.load(path, mmap_mode="r" if mmap else None)
    except _DAMAGE as error:
        raise UserError(
            f"{path} is not a readable array; copy or write it again."
        ) from error


def load_arrays(
    path: Location, names: Sequence[str], remedy: str
) -> dict[str, np.ndarray]:
    """Loads arrays of an .npz file that NumPy wrote without compression.

    Args:
        path: Local or remote path of the file.
        names: Names of the arrays.
        remedy: What the user can do about a damaged file, for example "learn
            it again"; it ends the sentence of the error.

    Returns:
        The arrays in the order of `names`.

    Raises:
        UserError: the file is missing or damaged, or lacks one of the arrays.
    """
    check_file(path)
    try:
        source = io.BytesIO(path.read_bytes()) if is_remote(path) else path
        with zipfile.ZipFile(source) as archive:
            return {name: _member(archive, f"{name}.npy") for name in names}
    except _DAMAGE as error:
        raise UserError(
            f"{path} is not readable ({cause(error)}); {remedy}."
        ) from error


def _member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    with archive.open(info) as file:
        _check_header(file, min(info.file_size, info.compress_size))
        file.seek(0)
        array = np.lib.format.read_array(file, allow_pickle=False)
        # zipfile compares the checksum where the member ends.
        if file.read(1):
            raise ValueError(f"{name} does not end with its array")
    return array


def _check_header(file: BinaryIO, size: int) -> None:
    """Checks the header of an .npy file before its array is allocated.

    Args:
        file: Positioned at the beginning.
        size: Bytes of the file.

    Raises:
        ValueError: the header is damaged, announces more than the file holds,
            or anything but numbers and texts; or another of `_DAMAGE`.
    """
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        header = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        header = np.lib.format.read_array_header_2_0(file)
    else:
        raise ValueError(f"it is of the unknown version {version}")
    shape, _, item_type = header
    if item_type.kind not in _ITEM_KINDS:
        raise ValueError(f"it holds {item_type}, not numbers or texts")
    announced = math.prod(shape) * item_type.itemsize
    if any(length < 0 for length in shape) or announced > size - file.tell():
        raise ValueError(f"it is too short for an array of shape {shape}")
