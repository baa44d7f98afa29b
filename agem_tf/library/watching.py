"""Keeps an index in sync with its folder while the folder changes.

Changes that the system reports are waited for until they pause, as a copy of a
thousand photos should be one change of the index. What it does not report, as
on file servers, is found by comparing the folder at an interval. A failed
comparison, for example while a disk is not mounted, is tried again.
"""

import importlib.util
import logging
import pathlib
import threading
import time
from collections.abc import Callable
from typing import Any

from agem_tf import cli
from agem_tf.errors import UserError, sentence_of
from agem_tf.library.index_change import IndexChange
from agem_tf.library.synchronization import sync_photos
from agem_tf.retrieval.indexes import Storage

observers = cli.lazy("watchdog.observers")
photo_models = cli.lazy("agem_tf.library.photo_models")

_LOG = logging.getLogger(__name__)
# Changes that do not pause are waited for at most so many times as long.
_LONGEST_WAIT = 30
_READING = {"opened", "closed_no_write"}


def watch_photos(
    storage: Storage,
    photos: str | None = None,
    *,
    report: Callable[[IndexChange], None],
    quiet: float = 2.0,
    interval: float = 600.0,
    retry: float = 30.0,
    stop: threading.Event | None = None,
) -> None:
    """Makes an index hold what its folder holds, until it is stopped.

    Args:
        storage: where the index is.
        photos: the folder, if it has moved.
        report: called with the first change, and with each later one that is
            not empty.
        quiet: seconds without a change of the folder before the index follows.
        interval: seconds after which the folder is compared in any case.
        retry: seconds after a failed comparison until the next one.
        stop: ends the call when it is set.

    Raises:
        UserError: watchdog is not installed, or the first comparison fails; see
            `sync_photos`.
    """
    if importlib.util.find_spec("watchdog") is None:
        raise UserError(
            "--watch needs watchdog: pip install '.[watch]'; or give --sync at "
            "intervals."
        )
    stop = stop or threading.Event()
    stored = storage.open()
    changes = _FolderChanges(photos or stored.origin.photos, stored.place)
    extractor, failed = None, False
    try:
        # Before a comparison, so that no change in between is missed.
        changes.observe()
        report(sync_photos(storage, photos))
        while not stop.is_set():
            # A folder that is gone can't be observed, and is tried again.
            is_observed = changes.observe()
            seconds = retry if failed or not is_observed else interval
            changes.wait(seconds, quiet, stop)
            if stop.is_set():
                break
            try:
                extractor = extractor or photo_models.extractor_of(stored)
                change = sync_photos(storage, extractor=extractor)
            except (UserError, OSError) as error:
                reason = sentence_of(error, stored.place) or error
                _LOG.warning("%s (next attempt in %g s)", reason, retry)
                changes.end()
                # The index may have been made again, with another model.
                stored = _opened(storage) or stored
                extractor, failed = None, True
                continue
            failed = False
            counts = (
                change.added,
                change.updated,
                change.renamed,
                change.removed,
            )
            if any(counts):
                report(change)
    finally:
        changes.end()


class _FolderChanges:
    """Changes in a folder that the system reports.

    Args:
        folder: the folder.
        index: directory of the index, whose own changes do not count.
    """

    def __init__(self, folder: str | None, index: str):
        self._folder = pathlib.Path(folder or "").expanduser().absolute()
        self._index = pathlib.Path(index).resolve()
        self._changed = threading.Event()
        self._last = 0.0
        self._observer = None

    def observe(self) -> bool:
        """Starts to observe the folder; returns whether that is possible."""
        if self._observer is not None:
            return True
        observer = observers.Observer()
        try:
            observer.schedule(self, str(self._folder), recursive=True)
            observer.start()
        except OSError as error:
            _LOG.warning("%s can't be observed: %s", self._folder, error)
            return False
        self._observer = observer
        return True

    def end(self) -> None:
        """Ends the observation."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
            self._observer = None

    def wait(self, seconds: float, quiet: float, stop: threading.Event) -> None:
        """Blocks until changes pause, at most for some seconds without any.

        Args:
            seconds: most seconds until the first change.
            quiet: seconds without a change that are a pause.
            stop: ends the call when it is set.
        """
        latest = time.monotonic() + seconds
        while not self._changed.wait(0.2):
            if stop.is_set() or time.monotonic() > latest:
                return
        latest = time.monotonic() + _LONGEST_WAIT * quiet
        while time.monotonic() < min(self._last + quiet, latest):
            if stop.wait(0.05):
                return
        self._changed.clear()

    def dispatch(self, event: Any) -> None:
        """Notes an event of the observer."""
        if event.event_type in _READING:
            return
        for place in (event.src_path, getattr(event, "dest_path", "")):
            if place and self._counts(pathlib.Path(place)):
                self._last = time.monotonic()
                self._changed.set()

    def _counts(self, path: pathlib.Path) -> bool:
        """Whether a path may be a photo, and not a file of the index."""
        resolved = path.parent.resolve() / path.name
        if self._index in (resolved, *resolved.parents):
            return False
        try:
            inside = path.relative_to(self._folder).parts
        except ValueError:
            return False
        return not any(part.startswith(".") for part in inside)


def _opened(storage: Storage) -> Any:
    """Returns the index, None if it can't be opened now."""
    try:
        return storage.open()
    except (UserError, OSError):
        return None
