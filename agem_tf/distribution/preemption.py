"""SIGTERM, with which a cluster announces that it takes a machine away.

A process ends at once where that loses nothing, because every file is written
under another name and renamed. Training defers the end until the step is done
and its checkpoint is written.
"""

import contextlib
import signal
import sys
from collections.abc import Iterator

# EX_TEMPFAIL of sysexits.h: the same command goes on where this one stopped.
STATUS = 75


class _State:
    requested = False
    deferred = False


def listen() -> None:
    """Makes SIGTERM end this process with `STATUS`; for commands."""
    signal.signal(signal.SIGTERM, _on_signal)


def requested() -> bool:
    """Whether SIGTERM has come, so that a deferred block should be brief."""
    return _State.requested


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Lets the block finish before SIGTERM ends the process.

    Raises:
        SystemExit: after the block, if SIGTERM has come.
    """
    _State.deferred = True
    try:
        yield
    finally:
        _State.deferred = False
    if _State.requested:
        sys.exit(STATUS)


def _on_signal(number: int, frame: object) -> None:
    del number, frame
    _State.requested = True
    if not _State.deferred:
        sys.exit(STATUS)
