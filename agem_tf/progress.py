"""Progress of long work: a bar on a terminal, plain lines in a log."""

import contextlib
import logging
import sys
import time
from types import TracebackType

import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

_LOG = logging.getLogger(__name__)
_SECONDS_BETWEEN_LINES = 30


class Progress:
    """Counts finished units; a context manager.

    Args:
        description: what is counted, for the bar and the lines.
        total: number of units, or None if it is unknown.
        unit: plural name of a unit.
    """

    def __init__(
        self, description: str, total: int | None, unit: str = "images"
    ):
        self._description, self._total, self._unit = description, total, unit
        self._done, self._start = 0, time.monotonic()
        self._last_line = self._start
        self._bar = tqdm.tqdm(
            desc=description,
            total=total,
            unit=f" {unit}",
            disable=not sys.stderr.isatty(),
            leave=False,
        )
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> "Progress":
        if not self._bar.disable:
            # Log lines are printed above the bar instead of across it.
            self._cleanup.enter_context(logging_redirect_tqdm())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()
        self._cleanup.close()
        if kind is None:
            self._log()

    def update(self, count: int, note: str = "") -> None:
        """Adds `count` finished units; `note` is shown after them."""
        self._done += count
        self._bar.update(count)
        if note:
            self._bar.set_postfix_str(note, refresh=False)
        if time.monotonic() - self._last_line > _SECONDS_BETWEEN_LINES:
            if self._bar.disable:
                self._log(note)
            self._last_line = time.monotonic()

    def _log(self, note: str = "") -> None:
        total = "" if self._total is None else f" of {self._total}"
        rate = self._done / max(time.monotonic() - self._start, 1e-9)
        line = (
            f"{self._description}: {self._done}{total} {self._unit}, "
            f"{rate:.1f} per second"
        )
        _LOG.info("%s", f"{line}, {note}" if note else line)
