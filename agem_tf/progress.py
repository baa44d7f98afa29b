"""Progress of long work: a bar on a terminal, plain lines in a log."""

import sys
import time
from types import TracebackType

import tqdm
from absl import logging

_SECONDS_BETWEEN_LINES = 30


class Progress:
    """Counts finished units; use as a context manager.

    Args:
        description: what is being done.
        total: units in all, or None if nobody knows.
        unit: plural name of a unit, shown as a rate too.
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

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()
        if kind is None:
            self._line()

    @property
    def rate(self) -> float:
        """Units a second since the start."""
        return self._done / max(time.monotonic() - self._start, 1e-9)

    def update(self, count: int, note: str = "") -> None:
        """Adds `count` finished units; `note` is shown behind them."""
        self._done += count
        self._bar.update(count)
        if note:
            self._bar.set_postfix_str(note, refresh=False)
        if time.monotonic() - self._last_line > _SECONDS_BETWEEN_LINES:
            if self._bar.disable:
                self._line(note)
            self._last_line = time.monotonic()

    def _line(self, note: str = "") -> None:
        logging.info(
            "%s: %d%s %s, %.1f a second %s",
            self._description,
            self._done,
            "" if self._total is None else f" of {self._total}",
            self._unit,
            self.rate,
            note,
        )
