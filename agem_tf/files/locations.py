"""Local and remote (gs://) paths that a user gives."""

import contextlib
import os
import pathlib
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from etils import epath

from agem_tf.errors import UserError

# A directory, local or remote. Both have the methods of pathlib; those of
# epath lack `glob("**")`, and their `stat` is another, see `size_of`.
Location = pathlib.Path | epath.Path

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_URL = re.compile(r"[a-z][a-z0-9]*:/", re.IGNORECASE)

_ON_DISK = "/var/tmp"

# A request takes some 50 ms, whatever the size of a small file.
_REQUESTS = 16


def is_remote(path: str | os.PathLike) -> bool:
    """Whether a path is a URL, such as gs://bucket/photos."""
    return "://" in os.fspath(path)


def as_location(path: str | os.PathLike, flag: str) -> Location:
    """Returns a local path as pathlib's, and a URL as epath's.

    Args:
        path: Local path, or a URL such as gs://bucket/data.
        flag: Flag that set it, for the error.

    Raises:
        UserError: The URL is of a file system that is not supported, or of a
            whole bucket.
    """
    if not is_remote(path):
        check_local(path, flag)
        return pathlib.Path(path)
    location = any_location(path, flag)
    if len(location.parts) < 4:  # /, the scheme, the bucket.
        raise UserError(
            f"{path} is a bucket; give {flag} as a folder in it, for example "
            f"{os.fspath(path).rstrip('/')}/data."
        )
    return location


def any_location(path: str | os.PathLike, flag: str) -> epath.Path:
    """Returns a path that may be remote.

    Args:
        path: Local path, or a URL such as gs://bucket/photos.
        flag: Flag that set it, for the error.

    Raises:
        UserError: The URL is of a file system that is not supported.
    """
    try:
        return epath.Path(path).expanduser()
    except KeyError as error:
        raise UserError(
            f"{path} is on a file system that is not supported; give "
            f"{flag} as a local path, or as gs://, s3:// or az://."
        ) from error


def check_local(path: str | os.PathLike, flag: str) -> None:
    """Checks that a path is local.

    Args:
        path: Path of files that are mapped into memory or locked.
        flag: Flag that set it, for the error.

    Raises:
        UserError: The path is a URL.
    """
    if _URL.match(os.fspath(path)):
        # pathlib makes one slash of two.
        address = re.sub(r":/+", "://", os.fspath(path), count=1)
        raise UserError(
            f"{address} is remote, and its files are read at random; give "
            f"{flag} as a local path, and copy the files from or to it."
        )


def check_file(path: str | os.PathLike) -> None:
    """Checks that a path is not that of a pipe, a socket or a device.

    Reading one may block, or never end; writing replaces it. An archive from
    an untrusted source can hold one.

    Raises:
        UserError: The path is that of a pipe, a socket or a device.
    """
    if is_remote(path):
        return
    path = pathlib.Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise UserError(f"{path} is a pipe, a socket or a device; give a file.")


def read_file(path: Location) -> bytes:
    """Returns the content of a file.

    Raises:
        UserError: see `check_file`.
        OSError: it is missing or can't be read.
    """
    check_file(path)
    return path.read_bytes()


def size_of(path: Location) -> int:
    """Returns the number of bytes of a file."""
    facts = path.stat()
    return facts.length if is_remote(path) else facts.st_size


def request_each(
    request: Callable[[_Item], _Result], items: Iterable[_Item]
) -> list[_Result]:
    """Calls a function that waits for remote files, for many items at once.

    Returns:
        The results, in the order of the items.

    Raises:
        Exception: what the call for the first item that failed raised.
    """
    with ThreadPoolExecutor(_REQUESTS) as pool:
        return list(pool.map(request, items))


def large_temporary_directory() -> str:
    """Returns the directory for temporary files that may not fit in memory.

    It is $TMPDIR or, without it, /var/tmp: many systems keep /tmp in memory.
    """
    if "TMPDIR" in os.environ or not os.access(_ON_DISK, os.W_OK):
        return tempfile.gettempdir()
    return _ON_DISK


@contextlib.contextmanager
def disk_errors_named(path: str | os.PathLike) -> Iterator[None]:
    """Adds the path to errors of the block that name no file.

    The system names none if a disk is full when bytes are written.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = os.fspath(path)
        raise


@contextlib.contextmanager
def local_copy(path: str | os.PathLike) -> Iterator[str]:
    """Yields a local path to a file that may be remote (gs://).

    The local file has the same name, and exists while the block runs.
    """
    path = os.fspath(path)
    if not is_remote(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, os.path.basename(path))
        epath.Path(path).copy(copy)
        yield copy
