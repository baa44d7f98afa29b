"""Bounds the memory of threads that decode photos at the same time."""

import contextlib
import threading
from collections.abc import Iterator

from agem_tf.photos.limits import MAX_PIXELS_AT_ONCE


class PixelBudget:
    """A semaphore that each photo takes with the number of its pixels.

    Threads must not nest its blocks: each would wait for the other.

    Args:
        pixels: pixels that may be held at the same time.
    """

    def __init__(self, pixels: int):
        self._total = self._free = pixels
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def held(self, pixels: int) -> Iterator[None]:
        """Holds pixels while a block runs, after waiting until they are free.

        A photo that exceeds the whole budget runs alone.
        """
        wanted = min(pixels, self._total)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= wanted)
            self._free -= wanted
        try:
            yield
        finally:
            with self._changed:
                self._free += wanted
                self._changed.notify_all()


# All threads of the process share it.
PIXEL_BUDGET = PixelBudget(MAX_PIXELS_AT_ONCE)
