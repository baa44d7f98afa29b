"""How a process of a pool begins; here, because this imports no TensorFlow.

Who writes the record files: this process, several, or a cluster.

A runner takes the paths of planned files and yields each as it is written, in
any order.
"""

import concurrent.futures
import functools
import importlib
import multiprocessing
import os
import shlex
import threading
from collections.abc import Callable, Iterator, Sequence

from agem_tf import native_output
from agem_tf.datasets import shards
from agem_tf.errors import UserError


def end_with_parent() -> None:
    """Ends this process when the one that started it is gone.

    Else the processes of a killed command wait for work for ever.
    """
    threading.Thread(target=_wait_and_end, daemon=True).start()


def start() -> None:
    """Imports TensorFlow without its greetings, and without its GPUs.

    Each process would print the one and take all memory of the others.
    """
    end_with_parent()
    with native_output.captured():
        tensorflow = importlib.import_module("tensorflow")
        tensorflow.config.set_visible_devices([], "GPU")


def _wait_and_end() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


Runner = Callable[[Sequence[str]], Iterator[str]]


def create(processes: int = 1, beam: str | None = None) -> Runner:
    """Returns the runner that two flags ask for.

    Args:
        processes: local processes.
        beam: flags of Apache Beam, which then writes instead.

    Raises:
        UserError: both are given, or one is impossible.
    """
    if processes < 1 or (processes > 1 and beam is not None):
        raise UserError(
            "--processes must be at least 1, and is of no use to --beam. "
            f"Received: processes={processes}, beam={beam!r}"
        )
    if beam is not None:
        return on_beam(beam)
    return in_process if processes == 1 else in_processes(processes)


def in_process(paths: Sequence[str]) -> Iterator[str]:
    """Writes one record file after the other."""
    return map(shards.write, paths)


def in_processes(count: int) -> Runner:
    """Returns a runner that keeps `count` local processes busy."""
    return functools.partial(_run_pool, count)


def on_beam(options: str) -> Runner:
    """Returns a runner that starts one Apache Beam pipeline.

    Dataflow, Flink or Spark may run it; what its workers need is this package,
    and the photos and unfinished files on a file system that they share.

    Args:
        options: Beam's flags, such as "--runner=FlinkRunner".

    Raises:
        UserError: Beam, an optional extra, is not installed.
    """
    try:
        import apache_beam
    except ImportError as error:
        raise UserError(
            "--beam needs Apache Beam; pip install 'agem-tf[beam]'."
        ) from error
    return functools.partial(_run_beam, apache_beam, shlex.split(options))


def _run_pool(count: int, paths: Sequence[str]) -> Iterator[str]:
    # Spawned, for a fork of a process that runs TensorFlow can deadlock.
    with concurrent.futures.ProcessPoolExecutor(
        count,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=start,
    ) as pool:
        tasks = [pool.submit(shards.write, path) for path in paths]
        try:
            for task in concurrent.futures.as_completed(tasks):
                yield task.result()
        except concurrent.futures.BrokenExecutor as error:
            raise UserError(
                "A process died, perhaps of too little memory; the same "
                "command with fewer --processes goes on."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _run_beam(
    apache_beam, options: Sequence[str], paths: Sequence[str]
) -> Iterator[str]:
    pipeline = apache_beam.Pipeline(argv=options)
    with pipeline:
        (
            pipeline
            | apache_beam.Create(paths)
            # Without it a runner may give all paths to one worker.
            | apache_beam.Reshuffle()
            | apache_beam.Map(shards.write_or_note)
        )
    for path in paths:
        sentence = shards.noted_error(path)
        if sentence is not None:
            raise UserError(sentence)
        yield path
