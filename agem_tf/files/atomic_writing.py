"""Files and directories that are complete or absent under their final name.

Hours of extraction end in one file, and a killed job must leave either the old
result or the new one. Work happens in a hidden directory beside the target,
under a lock that the operating system releases when its process dies; the next
write to the same target thereby knows which leftovers are abandoned. A target
that is a mount point can't be replaced from its parent, which is another disk,
and is filled from a hidden directory inside it. Remote targets are written on
the local disk and uploaded; see `remote_directories`.
"""

import contextlib
import ctypes
import errno
import functools
import glob
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock

from agem_tf.errors import UserError
from agem_tf.files.locations import (
    any_location,
    check_file,
    check_local,
    is_remote,
)
from agem_tf.files.locks import BusyError, exclusive
from agem_tf.files.manifest import (
    MANIFEST,
    belongs_to_a_mount,
    check_replaceable,
)
from agem_tf.files.remote_directories import remote_directory, upload

# What tempfile.mkdtemp puts between prefix and suffix; without a dot, so that
# the leftovers of "a" are not mistaken for those of "a.b".
_RANDOM_PART = "?" * 8
_REPLACED = "replaced"
_LOCK = ".lock"
_PROGRESS = "progress.json"
# Bytes of a block of common file systems.
_BLOCK = 4096
# Workspaces that other writers may take before one is locked.
_ATTEMPTS = 5
# Errors of a lock if another process works in the directory, or removes it.
_TAKEN = (filelock.Timeout, FileNotFoundError, FileExistsError)
# Arguments of Linux' renameat2(2): relative paths start at the working
# directory, and the two paths are exchanged.
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
# Errors of `_check_movable` if the target can be moved, or is not there.
_EXPECTED_REFUSALS = (
    errno.ENOTEMPTY,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENOENT,
)


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a path to write to, which becomes `path` if the block succeeds.

    The yielded path has the same file name, hence the same suffix. Missing
    parent directories are created, and symbolic links are followed.

    Raises:
        UserError: the parent directory can't be written, or the path is that
            of a directory, a pipe, a socket or a device.
    """
    if is_remote(path):
        with tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder, os.path.basename(path))
            yield temporary
            upload(temporary, path)
        return
    target = _resolved_file(path)
    with _temporary_workspace(target, target.parent) as workspace:
        temporary = workspace / target.name
        yield temporary
        flush(temporary)
        os.replace(temporary, target)
        flush(target.parent)


@contextlib.contextmanager
def atomic_directory(
    path: str | os.PathLike,
    kind: str | None = None,
    alone: bool = False,
    copies: Mapping[str, str] | None = None,
) -> Iterator[Path]:
    """Yields an empty directory, which becomes `path` if the block succeeds.

    An existing `path` is replaced as a whole, but only if its manifest lists
    every file in it: the photos of a user who mixes up two flags survive. Where
    `path` is a symbolic link, the directory that it leads to is replaced.

    Args:
        path: Path of the finished directory.
        kind: Kind of a directory that may be replaced; by default any.
        alone: Refuses a second writer. By default the last of several replaces
            the results of the others.
        copies: For a remote `path`: see `remote_directory`.

    Raises:
        UserError: `path` holds files that no manifest lists or is of another
            kind, another process is writing it, or its parent directory can't
            be written. Raised before the block runs.
    """
    if is_remote(path):
        with remote_directory(path, kind, copies) as temporary:
            yield temporary
        return
    target = _resolved(path)
    place = _working_place(target)
    check = functools.partial(check_replaceable, kind=kind)
    with _temporary_workspace(target, place, check) as workspace:
        if alone:
            _check_alone(workspace, target)
        temporary = workspace / target.name
        temporary.mkdir()
        yield temporary
        _move_directory(temporary, target, workspace)


class Unfinished:
    """A directory that grows for hours and survives the death of its process.

    Attributes:
        content: Path of what becomes the directory.
        done: Units of work whose results are in `content`; 0 at first.
    """

    def __init__(self, workspace: Path, identity: Mapping[str, Any]) -> None:
        self.content, self.done = workspace / "content", 0
        self._progress, self._identity = workspace / _PROGRESS, dict(identity)
        try:
            saved = json.loads(self._progress.read_bytes())
            is_same = saved["identity"] == self._identity
            done = int(saved["done"])
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            is_same = False
        if is_same:
            self.done = done
        else:
            self._progress.unlink(missing_ok=True)
            shutil.rmtree(self.content, ignore_errors=True)
            self.content.mkdir()

    def note(self, done: int) -> None:
        """Records the progress; its results must be on the disk already."""
        with atomic_file(self._progress) as temporary:
            temporary.write_text(
                json.dumps({"identity": self._identity, "done": done})
            )
        self.done = done


@contextlib.contextmanager
def resumable_directory(
    path: str | os.PathLike, identity: Mapping[str, Any]
) -> Iterator[Unfinished]:
    """Yields a directory that becomes `path` if the block succeeds.

    Otherwise it stays, hidden beside `path`, and the next call with an equal
    `identity` gets it back; that of a remote `path` is lost.

    Args:
        path: Path of the finished directory; replaced as by `atomic_directory`.
        identity: JSON values that identify the content and its sources.

    Raises:
        UserError: as `atomic_directory`, or another process is writing it.
    """
    if is_remote(path):
        with (
            remote_directory(path) as local,
            tempfile.TemporaryDirectory() as workspace,
        ):
            unfinished = Unfinished(Path(workspace), identity)
            yield unfinished
            os.replace(unfinished.content, local)
        return
    target = _resolved(path)
    is_mount = _working_place(target) == target
    if not is_mount:
        check_replaceable(target)
    with _unfinished_workspace(target) as workspace:
        if is_mount:
            _restore(workspace / _REPLACED, target)
            check_replaceable(target)
        unfinished = Unfinished(workspace, identity)
        yield unfinished
        if is_mount:
            # A kill between the moves leaves too little to resume from.
            (workspace / _PROGRESS).unlink(missing_ok=True)
        _move_directory(unfinished.content, target, workspace)
        shutil.rmtree(workspace)


@contextlib.contextmanager
def resumable_workspace(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a locked, hidden directory beside `path` for work in progress.

    It is removed if the block succeeds. Otherwise the next call gets it back,
    unless nothing is in it.

    Raises:
        UserError: another process uses it, or it can't be written.
    """
    with _unfinished_workspace(_resolved(path)) as workspace:
        try:
            yield workspace
        except BaseException:
            if {entry.name for entry in workspace.iterdir()} <= {_LOCK}:
                shutil.rmtree(workspace)
            raise
        shutil.rmtree(workspace)


def check_writable(path: str | os.PathLike | None) -> None:
    """Checks before the work that `atomic_file` can write to a path, if any.

    Raises:
        UserError: see `atomic_file`.
        OSError: the disk is full.
    """
    if path is None:
        return
    if is_remote(path):
        any_location(path, "the file")
        return
    target = _resolved_file(path)
    with _temporary_workspace(target, target.parent) as workspace:
        # On a full disk, empty files can still be created.
        (workspace / target.name).write_bytes(bytes(_BLOCK))


def flush(path: Path) -> None:
    """Forces a file, or a directory's entries, onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _resolved(path: str | os.PathLike) -> Path:
    """Follows symbolic links, so that no link is replaced by a directory.

    Raises:
        UserError: the path is a URL, and what it is for can't be remote; or a
            link that leads to itself.
    """
    check_local(path, "it")
    resolved = Path(os.path.realpath(path))
    if resolved.is_symlink():
        raise UserError(f"{path} is a link that leads to itself; remove it.")
    return resolved


def _resolved_file(path: str | os.PathLike) -> Path:
    target = _resolved(path)
    if target.is_dir():
        raise UserError(f"{target} is a directory; give a file.")
    check_file(target)
    return target


def _working_place(target: Path) -> Path:
    """Returns the directory, on the target's own disk, for its workspace."""
    if target.is_dir() and _is_mount_point(target):
        return target
    return target.parent


def _is_mount_point(directory: Path) -> bool:
    if os.path.ismount(directory):
        return True
    # A directory of the same disk that is mounted again looks like any other.
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "replace")
    except OSError:
        return False
    points = (line.split()[4] for line in mounts.splitlines())
    return any(
        re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), point)
        == str(directory)
        for point in points
    )


@contextlib.contextmanager
def _temporary_workspace(
    target: Path,
    place: Path,
    check: Callable[[Path], None] = lambda target: None,
) -> Iterator[Path]:
    """Yields a locked, hidden directory in `place` after `check(target)`."""
    with contextlib.ExitStack() as stack:
        try:
            place.mkdir(parents=True, exist_ok=True)
            _remove_leftovers(target, place)
            check(target)
            workspace = _locked_workspace(target, place, stack)
        except OSError as error:
            raise _not_writable(target, error) from error
        if place == target.parent:
            _check_movable(target, workspace)
        yield workspace


def _locked_workspace(
    target: Path, place: Path, stack: contextlib.ExitStack
) -> Path:
    """Creates a directory that is unlocked and removed when `stack` closes.

    Before it is locked, another writer may take it for a leftover; then there
    is another one. On file systems without locks nothing is held: writing
    works, and leftovers stay.
    """
    for _ in range(_ATTEMPTS):
        workspace = Path(
            tempfile.mkdtemp(
                prefix=f".{target.name}.", suffix=".tmp", dir=place
            )
        )
        stack.callback(_remove, workspace)
        try:
            stack.enter_context(_lock_in(workspace))
        except NotImplementedError:
            break
        except _TAKEN:
            continue
        if (workspace / _LOCK).exists():
            break
    return workspace


def _remove(workspace: Path) -> None:
    """Removes a workspace; what is left of it, the next writer removes."""
    # Another writer may be locking or removing it.
    with contextlib.suppress(OSError):
        shutil.rmtree(workspace)


@contextlib.contextmanager
def _unfinished_workspace(target: Path) -> Iterator[Path]:
    """Yields the hidden directory that outlives a process, locked."""
    place = _working_place(target)
    workspace = place / f".{target.name}.unfinished"
    with contextlib.ExitStack() as stack:
        try:
            workspace.mkdir(parents=True, exist_ok=True)
            stack.enter_context(exclusive(workspace / _LOCK, _busy(target)))
        except OSError as error:
            raise _not_writable(target, error) from error
        if place == target.parent:
            _check_movable(target, workspace)
        yield workspace


def _check_movable(target: Path, workspace: Path) -> None:
    """Checks before the work that the final renaming of the target can work.

    A directory can't be renamed to one with entries, and a file not to a
    directory. The system refuses that last, after everything that forbids to
    move the target: an immutable target, another owner in a directory like
    /tmp, a directory of the lower layer of a container's disk.

    Raises:
        UserError: the target can't be moved.
    """
    obstacle = workspace / "obstacle"
    (obstacle / "entry").mkdir(parents=True, exist_ok=True)
    try:
        os.rename(target, obstacle)
    except OSError as error:
        if error.errno not in _EXPECTED_REFUSALS:
            raise _not_writable(target, error) from error
    finally:
        shutil.rmtree(obstacle)


def _lock_in(directory: Path) -> filelock.FileLock:
    return filelock.FileLock(directory / _LOCK, timeout=0)


def _busy(target: Path) -> BusyError:
    return BusyError(
        f"Another process is writing {target}; wait for it, or choose another "
        "place."
    )


def _not_writable(target: Path, error: OSError) -> UserError:
    return UserError(
        f"{target} cannot be written: {error.strerror}; choose another place "
        "or change its permissions."
    )


def _check_alone(workspace: Path, target: Path) -> None:
    """Checks that no other workspace of the target is locked.

    Each writer locks its own before it looks for others, so that of two, at
    least one finds the other.
    """
    for other in _workspaces(target, workspace.parent):
        if other == workspace:
            continue
        try:
            with _lock_in(other):
                continue
        except filelock.Timeout as error:
            raise _busy(target) from error
        except (NotImplementedError, OSError):
            continue  # Without locks, or removed meanwhile.


def _workspaces(target: Path, place: Path) -> Iterator[Path]:
    return place.glob(f".{glob.escape(target.name)}.{_RANDOM_PART}.tmp")


def _remove_leftovers(target: Path, place: Path) -> None:
    for leftover in _workspaces(target, place):
        try:
            with _lock_in(leftover):
                _restore(leftover / _REPLACED, target)
                _remove(leftover)
        except (*_TAKEN, NotImplementedError):
            continue


def _restore(replaced: Path, target: Path) -> None:
    """Brings back the old result of a process killed while it replaced it."""
    if not replaced.exists():
        return
    if not target.exists():
        os.replace(replaced, target)
    elif replaced.parent.parent == target and (
        not (target / MANIFEST).exists()
    ):
        _move_entries(replaced, target, replaced.parent / "half")


def _move_directory(new: Path, target: Path, workspace: Path) -> None:
    """Puts a finished directory in its place, flushed to the disk."""
    for parent, _, files in os.walk(new):
        for file in files:
            flush(Path(parent) / file)
        flush(Path(parent))
    if workspace.parent == target:
        _move_entries(new, target, workspace / _REPLACED)
        flush(target)
        return
    if not target.exists():
        os.replace(new, target)
    elif not _swap(new, target):
        # A process killed here leaves no target; `_remove_leftovers` brings
        # the old one back.
        os.replace(target, workspace / _REPLACED)
        os.replace(new, target)
    flush(target.parent)


def _move_entries(new: Path, target: Path, replaced: Path) -> None:
    """Replaces what a mount point holds; without a manifest until the end."""
    replaced.mkdir(exist_ok=True)

    def manifest_first(path: Path) -> bool:
        return path.name != MANIFEST

    for entry in sorted(target.iterdir(), key=manifest_first):
        if not belongs_to_a_mount(entry.name, target):
            os.replace(entry, replaced / entry.name)
    for entry in sorted(new.iterdir(), key=manifest_first, reverse=True):
        os.replace(entry, target / entry.name)


def _swap(first: Path, second: Path) -> bool:
    """Exchanges two paths in one step, so that neither is ever missing.

    Returns:
        Whether the system and the file system support it; if not, nothing
        happens.
    """
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    if rename is None:
        return False
    paths = os.fsencode(first), os.fsencode(second)
    return not rename(
        _AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE
    )
