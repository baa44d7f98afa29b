"""Preemption: SIGTERM, which a cluster sends before it takes a machine away.

A process ends at once where nothing is lost, as every file is written under
another name and renamed. Training defers the end until the step is done and its
checkpoint is written.
"""

import contextlib
import signal
import sys
from collections.abc import Iterator

# EX_TEMPFAIL of sysexits.h: the same command resumes where this one stopped.
STATUS = 75


class _State:
    requested = False
    deferred = False


def listen() -> None:
    """Makes SIGTERM end this process with `STATUS`; for commands."""
    signal.signal(signal.SIGTERM, _on_signal)


def requested() -> bool:
    """Whether SIGTERM was received; a deferred block should then end soon."""
    return _State.requested


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Lets the block finish before SIGTERM ends the process.

    Raises:
        SystemExit: After the block, if SIGTERM was received.
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
