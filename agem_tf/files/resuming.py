"""Directories that grow for hours and survive the death of their process."""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agem_tf.errors import UserError
from agem_tf.files.atomic_writing import atomic_file, move_directory
from agem_tf.files.manifest import check_replaceable

_PROGRESS = "progress.json"


class Unfinished:
    """A directory in the making.

    Attributes:
        content: what becomes the directory.
        done: units of work whose results are in `content`; 0 at first.
    """

    def __init__(self, workspace: Path, identity: Mapping[str, Any]):
        self.content, self.done = workspace / "content", 0
        self._progress, self._identity = workspace / _PROGRESS, dict(identity)
        saved = self._read()
        if saved.get("identity") == self._identity:
            self.done = saved["done"]
        else:
            self._progress.unlink(missing_ok=True)
            shutil.rmtree(self.content, ignore_errors=True)
            self.content.mkdir()

    def note(self, done: int) -> None:
        """Remembers how much is done, once its results are on the disk."""
        with atomic_file(self._progress) as temporary:
            temporary.write_text(
                json.dumps({"identity": self._identity, "done": done})
            )
        self.done = done

    def _read(self) -> dict[str, Any]:
        try:
            return json.loads(self._progress.read_bytes())
        except (OSError, ValueError):
            return {}


@contextlib.contextmanager
def resumable_directory(
    path: str | os.PathLike, identity: Mapping[str, Any]
) -> Iterator[Unfinished]:
    """Yields a directory that becomes `path` if the block succeeds.

    Otherwise it stays, hidden beside `path`, and the next call with an equal
    `identity` gets it back.

    Args:
        path: of the finished directory; replaced as by `atomic_directory`.
        identity: what is being made from what, as JSON holds it.

    Raises:
        UserError: as `atomic_directory`, or another process is writing it.
    """
    target = Path(path)
    check_replaceable(target)
    with _workspace(target) as workspace:
        unfinished = Unfinished(workspace, identity)
        yield unfinished
        move_directory(unfinished.content, target, workspace)
        shutil.rmtree(workspace)


def discard_unfinished(path: str | os.PathLike) -> None:
    """Removes what an unfinished `resumable_directory` of `path` has left.

    Raises:
        UserError: another process is writing it.
    """
    with _workspace(Path(path)) as workspace:
        shutil.rmtree(workspace)


@contextlib.contextmanager
def _workspace(target: Path) -> Iterator[Path]:
    """Yields the hidden directory, held against other processes."""
    workspace = target.with_name(f".{target.name}.unfinished")
    try:
        workspace.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(workspace, os.O_RDONLY)
    except OSError as error:
        raise UserError(
            f"{target} cannot be written: {error.strerror}; choose another "
            "place or change its permissions."
        ) from error
    try:
        _lock(descriptor, target)
        yield workspace
    finally:
        os.close(descriptor)


def _lock(descriptor: int, target: Path) -> None:
    """Takes a lock that the operating system releases with the process."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UserError(
            f"Another process is writing {target}; wait for it, or choose "
            "another place."
        ) from error
    except OSError:
        pass  # A network file system without locks.
