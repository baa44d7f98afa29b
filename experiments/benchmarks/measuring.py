"""Time and memory of a call, and tables, for the benchmarks."""

import dataclasses
import pathlib
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

# Objects for functions that a library pickles and calls in the same process.
SHARED: dict[str, Any] = {}

_SECONDS_BETWEEN_SAMPLES = 0.005


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Measurement of repeated calls of one function.

    Attributes:
        seconds: Wall time of the fastest call.
        cpu_seconds: Least CPU time of a call, over all cores; other work on the
            machine disturbs it less.
        mebibytes: Greatest increase of memory during a call, without the file
            cache.
        result: Result of the last call.
    """

    seconds: float
    cpu_seconds: float
    mebibytes: float
    result: Any


class _Peak(threading.Thread):
    """Samples the anonymous memory of this process."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._finished = threading.Event()
        self.start_bytes = self.peak_bytes = anonymous_bytes()

    def run(self) -> None:
        while not self._finished.wait(_SECONDS_BETWEEN_SAMPLES):
            self.peak_bytes = max(self.peak_bytes, anonymous_bytes())

    def finish(self) -> float:
        """Stops and returns the increase of memory at the peak, in MiB."""
        self._finished.set()
        self.join()
        return (self.peak_bytes - self.start_bytes) / 2**20


def measure(call: Callable[[], Any], repeats: int = 1) -> Measurement:
    """Calls a function `repeats` times and measures each call."""
    seconds, cpu_seconds, mebibytes, result = [], [], [], None
    for _ in range(repeats):
        result = None  # The previous result must not count as memory in use.
        peak = _Peak()
        peak.start()
        start, cpu_start = time.perf_counter(), time.process_time()
        result = call()
        seconds.append(time.perf_counter() - start)
        cpu_seconds.append(time.process_time() - cpu_start)
        mebibytes.append(peak.finish())
    return Measurement(min(seconds), min(cpu_seconds), max(mebibytes), result)


def anonymous_bytes() -> int:
    """Returns the memory of this process that is not backed by files."""
    return 1024 * _field("/proc/self/status", "RssAnon")


def available_bytes() -> int:
    """Returns the memory that is available, including the file cache."""
    return 1024 * _field("/proc/meminfo", "MemAvailable")


def print_table(rows: Iterable[Mapping[str, object]]) -> None:
    """Prints a Markdown table row by row."""
    for number, row in enumerate(rows):
        if not number:
            _print_line(row)
            _print_line(["---"] * len(row))
        _print_line(row.values())


def _print_line(cells: Iterable[object]) -> None:
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def _field(path: str, name: str) -> int:
    text = pathlib.Path(path).read_text(encoding="utf-8")
    return int(re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)[1])
