"""Preemption: SIGTERM, which a cluster sends before it takes a machine away.

A process ends at once where nothing is lost, as every file is written under
another name and renamed. Training defers the end until the step is done and its
checkpoint is written.

Of several workers, none may end alone: the others would wait for it in their
next collective. Each only notes the signal, and passes it on with what the
workers reduce anyway, so that all end at the same place; see
`distribution.workers`.
"""

import contextlib
import signal
import sys
from collections.abc import Iterator

# EX_TEMPFAIL of sysexits.h: the same command resumes where this one stopped.
STATUS = 75


class _State:
    requested = False
    # Blocks that defer the end.
    deferring = 0


def listen() -> None:
    """Makes SIGTERM end this process with `STATUS`."""
    signal.signal(signal.SIGTERM, _on_signal)


@contextlib.contextmanager
def listening() -> Iterator[None]:
    """Makes SIGTERM end this process with `STATUS`; for commands.

    The signal raises SystemExit wherever Python is. Code that it interrupts may
    replace it by an error of its own, as TensorFlow's tracing does, which finds
    its stacks in disorder.
    """
    listen()
    try:
        yield
    except BaseException as error:
        cause = error.__context__
        while cause is not None:
            if isinstance(cause, SystemExit) and cause.code == STATUS:
                end()
            cause = cause.__context__
        raise


def requested() -> bool:
    """Whether SIGTERM was received; a deferred block should then end soon."""
    return _State.requested


def end() -> None:
    """Ends this process with `STATUS`.

    Raises:
        SystemExit: Always.
    """
    sys.exit(STATUS)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Lets the block finish before SIGTERM ends the process.

    Raises:
        SystemExit: After the block, if SIGTERM was received.
    """
    _State.deferring += 1
    try:
        yield
    finally:
        _State.deferring -= 1
    if _State.requested and not _State.deferring:
        end()


@contextlib.contextmanager
def immediate() -> Iterator[None]:
    """Lets SIGTERM end the block at once, inside deferred ones.

    Raises:
        SystemExit: SIGTERM was received before the block or in it.
    """
    deferring, _State.deferring = _State.deferring, 0
    try:
        if _State.requested:
            end()
        yield
    finally:
        _State.deferring = deferring


def defer_for_workers() -> None:
    """Defers the end until all workers agree on it, from now on.

    Must be called after TensorFlow has connected the workers, because that
    replaces the signal's handler by one that does nothing here.
    """
    _State.deferring += 1
    if signal.getsignal(signal.SIGTERM) is _on_signal:
        listen()


def _on_signal(number: int, frame: object) -> None:
    del number, frame
    _State.requested = True
    if not _State.deferring:
        end()
