"""Directories in an object store (gs://), written whole or mirrored.

An object appears whole or not at all, but there are neither links, locks nor
renamed directories. A directory that is being written has a manifest that says
so, which no reader accepts; the manifest of its files comes last.
"""

import contextlib
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath

from etils import epath

from agem_tf.errors import UserError
from agem_tf.files.locations import (
    Location,
    as_location,
    is_remote,
    large_temporary_directory,
    request_each,
)
from agem_tf.files.manifest import (
    MANIFEST,
    begin_manifest,
    check_replaceable,
    files_in,
    is_unfinished,
    manifest_kind,
)


@contextlib.contextmanager
def remote_directory(
    path: str | os.PathLike,
    kind: str | None = None,
    copies: Mapping[str, str] | None = None,
) -> Iterator[Path]:
    """Yields an empty local directory, uploaded if the block succeeds.

    Args:
        path: URL of the directory, replaced as a whole.
        kind: Kind of a directory that may be replaced; by default any.
        copies: Files that are copied from elsewhere, local or remote: relative
            name -> path. They are read after the block.

    Raises:
        UserError: `path` holds files that no manifest lists, or is of another
            kind. Raised before the block runs.
    """
    target = as_location(path, "the directory")
    check_replaceable(target, kind)
    with tempfile.TemporaryDirectory(dir=large_temporary_directory()) as folder:
        yield Path(folder)
        _replace(target, Path(folder), copies or {})


def upload(local: Path, remote: str | os.PathLike) -> None:
    """Copies a local file to a URL, where it appears at once.

    Raises:
        UserError: the URL is of a file system that is not supported.
    """
    target = as_location(remote, "the file")
    target.parent.mkdir(parents=True, exist_ok=True)
    epath.Path(local).copy(target, overwrite=True)


@contextlib.contextmanager
def fetched(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a local copy of a directory that may be remote.

    The copy is removed after the block; files that are mapped into memory by
    then stay readable.

    Raises:
        UserError: There is no such remote directory.
    """
    if not is_remote(path):
        yield Path(path)
        return
    remote = as_location(path, "the directory")
    if not remote.is_dir():
        raise UserError(f"{path} does not exist; give another directory.")
    with tempfile.TemporaryDirectory(dir=large_temporary_directory()) as folder:
        local = Path(folder, remote.name)
        _download(remote, local)
        yield local


class RemoteMirror:
    """A remote directory and its working copy on the local disk.

    The copy is changed by one process. Files are uploaded in the order in which
    they were last written, so that a process killed meanwhile leaves in the
    remote directory what it could have left in a local one. A subdirectory with
    a manifest is uploaded as a whole; one that is unfinished is not copied.

    Args:
        remote: URL of the directory, which may be missing.
        local: Path of the working copy; filled from the remote directory.
    """

    def __init__(self, remote: str, local: Path):
        self._remote, self._local = as_location(remote, "--workdir"), local
        if self._remote.is_dir():
            _download(self._remote, local)
        local.mkdir(exist_ok=True)
        self._uploaded = self._state()
        for folder in _described(self._uploaded):
            if is_unfinished(local / folder):
                shutil.rmtree(local / folder)

    def push(self) -> None:
        """Uploads what has changed, and removes what is no longer there."""
        now = self._state()
        changed = {n for n in now if now[n] != self._uploaded.get(n)}
        folders = [f for f in _described(now) if manifest_kind(self._local / f)]
        # Single files, and the files of a folder with a manifest together.
        units: dict[str, list[str]] = {}
        gone = self._uploaded.keys() - now.keys()
        # A manifest last, without which other files can not be replaced.
        for name in sorted(changed | gone, key=_manifest_last):
            owners = [f for f in folders if name.startswith(f"{f}/")]
            units.setdefault(max(owners, key=len, default=name), []).append(
                name
            )

        def written(names: list[str]) -> tuple[float, ...]:
            return max((now[n] for n in names if n in now), default=(math.inf,))

        for unit in sorted(units, key=lambda unit: written(units[unit])):
            names = units[unit]
            if unit in folders:
                last = f"{unit}/{MANIFEST}"
                (self._remote / unit).mkdir(parents=True, exist_ok=True)
                kind = manifest_kind(self._local / unit)
                begin_manifest(self._remote / unit, kind)
                self._uploaded.pop(last, None)
                names = [*(n for n in names if n != last), last]
            for name in names:
                if name in now:
                    upload(self._local / name, self._remote / name)
                    self._uploaded[name] = now[name]
                else:
                    (self._remote / name).unlink(missing_ok=True)
                    del self._uploaded[name]

    def _state(self) -> dict[str, tuple[int, int]]:
        """Returns the time and size of each file that is not temporary."""
        state = {}
        for name in _files(self._local):
            if not any(part.startswith(".") for part in Path(name).parts):
                facts = (self._local / name).stat()
                state[name] = (facts.st_mtime_ns, facts.st_size)
        return state


@contextlib.contextmanager
def mirrored(
    path: str | os.PathLike,
) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Yields a local directory for `path`, and a function that uploads it.

    A local path is yielded itself, and there is nothing to upload. At the end
    of the block all is uploaded; errors name the remote directory.
    """
    if not is_remote(path):
        yield Path(path), _nothing
        return
    remote = os.fspath(path).rstrip("/")
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder, os.path.basename(remote))
        mirror = RemoteMirror(remote, local)
        try:
            yield local, mirror.push
        except UserError as error:
            message = str(error).replace(os.fspath(local), remote)
            raise type(error)(message) from error
        mirror.push()


def _described(names: Collection[str]) -> set[str]:
    """Returns the subdirectories that have a manifest among files."""
    return {
        os.path.dirname(name)
        for name in names
        if os.path.basename(name) == MANIFEST
    } - {""}


def _manifest_last(name: str) -> tuple[bool, str]:
    return os.path.basename(name) == MANIFEST, name


def _nothing() -> None:
    """Uploads nothing."""


def _files(directory: Location) -> list[str]:
    has_manifest = (directory / MANIFEST).exists()
    return files_in(directory) + [MANIFEST] * has_manifest


def _download(remote: epath.Path, local: Path) -> None:
    names = _files(remote)
    # A store allows any name; as a path it would leave the local directory.
    for name in names:
        if ".." in PurePosixPath(name).parts:
            raise UserError(
                f"{remote} has an object named {name!r}, outside of the "
                "directory; remove it."
            )
    local.mkdir()
    for name in names:
        (local / name).parent.mkdir(parents=True, exist_ok=True)

    def fetch(name: str) -> None:
        (remote / name).copy(local / name, overwrite=True)

    request_each(fetch, names)


def _replace(
    target: epath.Path, local: Path, copies: Mapping[str, str]
) -> None:
    target.mkdir(parents=True, exist_ok=True)
    old = set(files_in(target))
    begin_manifest(target, manifest_kind(local))
    sources = {name: os.fspath(local / name) for name in files_in(local)}
    sources |= copies

    def place(name: str) -> None:
        epath.Path(sources[name]).copy(target / name, overwrite=True)

    for folder in {os.path.dirname(name) for name in sources}:
        (target / folder).mkdir(parents=True, exist_ok=True)
    request_each(place, sources)
    for name in old - sources.keys():
        (target / name).unlink(missing_ok=True)
    upload(local / MANIFEST, target / MANIFEST)
