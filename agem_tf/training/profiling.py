"""A trace of a few steps, which TensorBoard's profile plugin shows."""

import contextlib
import pathlib
from collections.abc import Iterator

import tensorflow as tf
from absl import logging


class StepProfiler:
    """Traces certain steps of a run; a context manager around all of them.

    Args:
        directory: what `tensorboard --logdir` is given.
        steps: counted from the first step of the first epoch.
    """

    def __init__(self, directory: pathlib.Path, steps: range):
        self._directory, self._steps = directory, steps
        self._running = False

    def limit(self, step: int, count: int) -> int:
        """Shortens `count` steps from `step` on, so that one call has either
        none of the traced steps or one alone.
        """
        if step in self._steps:
            return 1
        ahead = self._steps.start - step
        return min(count, ahead) if ahead > 0 else count

    @contextlib.contextmanager
    def traced(self, step: int) -> Iterator[None]:
        """Runs the call that begins with `step`, under the trace if wanted."""
        if step not in self._steps:
            yield
            return
        if not self._running:
            tf.profiler.experimental.start(str(self._directory))
            self._running = True
        with tf.profiler.experimental.Trace("train", step_num=step, _r=1):
            yield
        if step + 1 == self._steps.stop:
            self._stop()

    def __enter__(self) -> "StepProfiler":
        return self

    def __exit__(self, *exception: object) -> None:
        """Writes the trace of fewer steps if the run ends before."""
        self._stop()

    def _stop(self) -> None:
        if self._running:
            self._running = False
            tf.profiler.experimental.stop()
            logging.info(
                "Wrote a trace: tensorboard --logdir=%s", self._directory
            )
