"""Locks that the operating system releases when their process dies."""

import contextlib
import os
from collections.abc import Iterator

import filelock

from agem_tf.errors import UserError


class BusyError(UserError):
    """Another process writes to the same place; it ends by itself."""


@contextlib.contextmanager
def exclusive(path: str | os.PathLike, busy: BusyError) -> Iterator[None]:
    """Holds a lock file while the block runs, without waiting for it.

    Network file systems without locks hold nothing, and the block runs.

    Args:
        path: Path of the lock file, in a directory that exists.
        busy: Raised if another process holds the lock.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(filelock.FileLock(path, timeout=0))
        except filelock.Timeout as error:
            raise busy from error
        except NotImplementedError:
            pass
        yield
