"""Writes files and directories so that their final name is never half written.

Hours of extraction end in one file, and a killed job must leave either the old
result or the new one. Work happens in a hidden directory beside the target,
under a lock that the operating system releases when its process dies; the next
write to the same target thereby knows which leftovers nobody works in.

A full disk, told in one line.

Python, TensorFlow and HDF5 report it by exceptions of their own, which have
nothing in common but the operating system's sentence inside.
"""

import contextlib
import ctypes
import errno
import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from agem_tf.errors import UserError
from agem_tf.files.manifest import check_replaceable

# What tempfile.mkdtemp puts between prefix and suffix; without a dot, so that
# the leftovers of "a" are not mistaken for those of "a.b".
_RANDOM_PART = "?" * 8
_REPLACED = "replaced"
# Of Linux' renameat2(2): paths are relative to the working directory; swap.
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a path to write to, which becomes `path` if the block succeeds.

    The yielded path has the same file name, hence the same suffix. Missing
    parent directories are created.

    Raises:
        UserError: the parent directory cannot be written.
    """
    target = Path(path)
    with _workspace(target) as workspace:
        temporary = workspace / target.name
        yield temporary
        flush(temporary)
        os.replace(temporary, target)
        flush(target.parent)


@contextlib.contextmanager
def atomic_directory(path: str | os.PathLike) -> Iterator[Path]:
    """Yields an empty directory, which becomes `path` if the block succeeds.

    An existing `path` is replaced as a whole, but only if its manifest lists
    every file in it: the photos of a user who mixes up two flags survive.

    Raises:
        UserError: `path` holds files that no manifest lists, or its parent
            directory cannot be written. Raised before the block runs.
    """
    target = Path(path)
    check_replaceable(target)
    with _workspace(target) as workspace:
        temporary = workspace / target.name
        temporary.mkdir()
        yield temporary
        move_directory(temporary, target, workspace)


def move_directory(new: Path, target: Path, workspace: Path) -> None:
    """Puts a finished directory in its place, flushed to the disk.

    Args:
        new: the directory, on the file system of its target.
        target: its place; a directory that is there is replaced as a whole.
        workspace: where that one may go.
    """
    _flush_tree(new)
    _replace_directory(new, target, workspace)
    flush(target.parent)


def flush(path: Path) -> None:
    """Forces a file, or a directory's entries, onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _workspace(target: Path) -> Iterator[Path]:
    """Yields a locked, hidden directory on the target's own file system."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(target)
        workspace = Path(
            tempfile.mkdtemp(
                prefix=f".{target.name}.", suffix=".tmp", dir=target.parent
            )
        )
    except OSError as error:
        raise UserError(
            f"{target} cannot be written: {error.strerror}; choose another "
            "place or change its permissions."
        ) from error
    try:
        with _lock(workspace):
            yield workspace
    finally:
        shutil.rmtree(workspace)


@contextlib.contextmanager
def _lock(directory: Path) -> Iterator[bool]:
    """Yields whether this process holds the lock while the block runs.

    On file systems without locks nobody ever holds one: writing works, and
    leftovers stay.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        acquired = True
    except OSError:
        acquired = False
    try:
        yield acquired
    finally:
        os.close(descriptor)


def _remove_leftovers(target: Path) -> None:
    pattern = f".{glob.escape(target.name)}.{_RANDOM_PART}.tmp"
    for leftover in target.parent.glob(pattern):
        with _lock(leftover) as abandoned:
            if not abandoned:
                continue
            # Killed between the two renames: the old result is still here.
            if (leftover / _REPLACED).exists() and not target.exists():
                os.replace(leftover / _REPLACED, target)
            shutil.rmtree(leftover)


def _replace_directory(new: Path, target: Path, workspace: Path) -> None:
    if target.exists():
        if _swap(new, target):
            return
        # A process killed here leaves no target; `_remove_leftovers` brings
        # the old one back.
        os.replace(target, workspace / _REPLACED)
    os.replace(new, target)


def _swap(first: Path, second: Path) -> bool:
    """Exchanges two paths in one step, so that neither is ever missing.

    Returns:
        Whether this system and this file system can; if not, nothing happens.
    """
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    if rename is None:
        return False
    paths = os.fsencode(first), os.fsencode(second)
    return not rename(
        _AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE
    )


def _flush_tree(directory: Path) -> None:
    for parent, _, files in os.walk(directory):
        for file in files:
            flush(Path(parent) / file)
        flush(Path(parent))


_SENTENCES = tuple(
    os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
)


@contextlib.contextmanager
def full_disk_named(directory: str | os.PathLike) -> Iterator[None]:
    """Names the directory that the block writes to, if it can't.

    Raises:
        UserError: the disk is full, or a quota or limit is reached.
    """
    try:
        yield
    except Exception as error:
        found = [text for text in _SENTENCES if text in str(error)]
        if not found or isinstance(error, UserError):
            raise
        raise UserError(
            f"{directory} can't be written: {found[0]}. Make room and give the "
            "same command again; what was finished is whole."
        ) from error
