"""Engines that write the parts of a large job: this machine, or a cluster.

A part is named by the path that it is written to. A task writes one part, and
may do so again. So every engine leaves the same files, the part of a killed
worker is written again, by the engine or by the same command, and an engine
moves nothing but paths.

Beam and Ray get whole parts instead of single photos: a framework that forms
the batches itself, as Beam's RunInference does, changes which photos share
one, and with them the last bits of the descriptors.
"""

import concurrent.futures
import dataclasses
import functools
import importlib
import multiprocessing
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

from etils import epath

from agem_tf import native_output
from agem_tf.config.shared_options import ShardOptions
from agem_tf.distribution.processes import end_with_parent
from agem_tf.errors import UserError, sentence_of
from agem_tf.files.locations import Location
from agem_tf.files.portions import Portion
from agem_tf.progress import Progress

Task = Callable[[str], object]
# Takes a task and the paths of the parts, and yields each path when its part is
# written, in any order.
Engine = Callable[[Task, Sequence[str]], Iterator[str]]


def create_engine(
    processes: int = 1,
    beam: str | None = None,
    ray: str | None = None,
    on_gpus: bool = False,
) -> Engine:
    """Returns the engine that the flags of a command choose.

    Args:
        processes: number of local processes.
        beam: flags of Apache Beam.
        ray: address of a Ray cluster, "auto", or "local".
        on_gpus: see `on_ray`.

    Raises:
        UserError: more than one is given, one is not installed, or the flags
            of Beam are malformed.
    """
    chosen = (processes != 1, beam is not None, ray is not None)
    if processes < 1 or sum(chosen) > 1:
        raise UserError(
            "Give one of --processes, at least 1, --beam and --ray. Received: "
            f"processes={processes}, beam={beam!r}, ray={ray!r}"
        )
    if beam is not None:
        return on_beam(beam)
    if ray is not None:
        return on_ray(ray, on_gpus)
    return in_process if processes == 1 else in_processes(processes)


def in_process(task: Task, paths: Sequence[str]) -> Iterator[str]:
    """Writes one part after the other."""
    for path in paths:
        task(path)
        yield path


def in_processes(count: int) -> Engine:
    """Returns an engine that keeps `count` local processes busy."""
    return functools.partial(_run_pool, count)


def on_beam(options: str) -> Engine:
    """Returns an engine that starts one Apache Beam pipeline.

    Dataflow, Flink or Spark may run it. Their workers need this package, and a
    file system that all of them share.

    Args:
        options: flags of Beam, for example "--runner=FlinkRunner".

    Raises:
        UserError: Beam, an optional dependency, is not installed, or a
            quotation in the flags has no end.
    """
    try:
        flags = shlex.split(options)
    except ValueError as error:
        raise UserError(
            f"The flags of Beam are malformed ({error}); check their quotes. "
            f"Received: --beam={options}"
        ) from error
    apache_beam = _import_engine("apache_beam", "beam")
    return functools.partial(_run_beam, apache_beam, flags)


def on_ray(address: str, on_gpus: bool = False) -> Engine:
    """Returns an engine that gives Ray one task per part.

    Ray's workers need this package, and a file system that all of them share.

    Args:
        address: HOST:PORT of a cluster, "auto" for that of this machine, or
            "local" to start one.
        on_gpus: whether each task takes a GPU, if the cluster has any.

    Raises:
        UserError: Ray, an optional dependency, is not installed.
    """
    ray = _import_engine("ray", "ray")
    return functools.partial(_run_ray, ray, address, on_gpus)


def run_portions(
    command: str, options: ShardOptions, directory: Location
) -> None:
    """Lets an engine run a command with --shard for each of its portions.

    Args:
        command: module of the command, such as "agem_tf.extract".
        options: options of the command, which choose the engine.
        directory: directory of all portions.

    Raises:
        UserError: the engine is not installed, or a portion has an error.
    """
    engine = create_engine(beam=options.beam, ray=options.ray, on_gpus=True)
    count = options.num_shards
    alone = {"beam": None, "ray": None, "num_shards": None}
    task = _PortionTask(command, type(options).__name__, vars(options) | alone)
    paths = [
        os.fspath(Portion(number, count).place(directory))
        for number in range(1, count + 1)
    ]
    directory.mkdir(parents=True, exist_ok=True)
    with Progress("Shards", count, "shards") as progress:
        for _ in engine(task, paths):
            progress.update(1)


def attempt(task: Task, path: str) -> str | None:
    """Writes a part; returns the sentence of its error, if it has one.

    An exception would return from a cluster as pages of stack traces.
    """
    try:
        task(path)
    except Exception as error:
        sentence = sentence_of(error, path)
        if sentence is None:
            raise
        return sentence
    return None


def write_or_note(task: Task, path: str) -> str:
    """Writes a part, or the sentence of its error into a file beside it."""
    note = epath.Path(f"{path}.error")
    note.unlink(missing_ok=True)
    sentence = attempt(task, path)
    if sentence is not None:
        note.write_text(sentence)
    return path


def raise_noted(paths: Sequence[str]) -> None:
    """Removes what `write_or_note` has noted of parts of one directory.

    Raises:
        UserError: it noted the error of a part.
    """
    names = {f"{os.path.basename(path)}.error" for path in paths}
    # Listed at once, because each request to a remote directory takes 50 ms.
    beside = epath.Path(paths[0]).parent.iterdir()
    notes = sorted(note for note in beside if note.name in names)
    sentences = [note.read_text() for note in notes]
    for note in notes:
        note.unlink()
    if sentences:
        raise UserError(sentences[0])


@dataclasses.dataclass(frozen=True)
class _PortionTask:
    """Calls a command for the portion of a path.

    It has plain values: a module that runs as a command is called __main__,
    and its classes are not found by another process.
    """

    command: str
    options: str
    values: Mapping[str, Any]

    def __call__(self, path: str) -> None:
        module = importlib.import_module(self.command)
        options = getattr(module, self.options)
        shard = str(Portion.placed(path))
        module.main(options(**self.values | {"shard": shard}))


def _run_pool(count: int, task: Task, paths: Sequence[str]) -> Iterator[str]:
    # Spawned, because a fork of a process that runs TensorFlow can deadlock.
    with concurrent.futures.ProcessPoolExecutor(
        count,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
    ) as pool:
        tasks = {pool.submit(task, path): path for path in paths}
        try:
            for done in concurrent.futures.as_completed(tasks):
                done.result()
                yield tasks[done]
        except concurrent.futures.BrokenExecutor as error:
            raise UserError(
                "A process died, perhaps for lack of memory; give the same "
                "command with fewer --processes to resume."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """Imports TensorFlow without its messages and without GPUs.

    Each process would repeat the messages, and take all memory of the GPUs.
    """
    end_with_parent()
    with native_output.captured():
        tensorflow = importlib.import_module("tensorflow")
        tensorflow.config.set_visible_devices([], "GPU")


def _run_beam(
    apache_beam: ModuleType,
    options: Sequence[str],
    task: Task,
    paths: Sequence[str],
) -> Iterator[str]:
    with apache_beam.Pipeline(argv=options) as pipeline:
        (
            pipeline
            | apache_beam.Create(paths)
            # Without it, some runners give all paths to one worker.
            | apache_beam.Reshuffle()
            | apache_beam.Map(functools.partial(write_or_note, task))
        )
    raise_noted(paths)
    yield from paths


def _run_ray(
    ray: ModuleType,
    address: str,
    on_gpus: bool,
    task: Task,
    paths: Sequence[str],
) -> Iterator[str]:
    starts = not ray.is_initialized()
    if starts:
        try:
            ray.init(address, log_to_driver=False)
        except (ConnectionError, ValueError) as error:
            raise UserError(
                f"--ray={address} can't be reached ({error}); give HOST:PORT "
                "of a running cluster, or --ray=local."
            ) from error
    gpus = 1 if on_gpus and ray.cluster_resources().get("GPU") else 0
    # Ray runs the task of a killed worker again, up to three times.
    remote = ray.remote(num_gpus=gpus)(attempt)
    waiting = {remote.remote(task, path): path for path in paths}
    try:
        while waiting:
            (done,), _ = ray.wait(list(waiting))
            sentence = ray.get(done)
            if sentence is not None:
                raise UserError(sentence)
            yield waiting.pop(done)
    except (
        ray.exceptions.NodeDiedError,
        ray.exceptions.OutOfMemoryError,
        ray.exceptions.WorkerCrashedError,
    ) as error:
        raise UserError(
            "A worker of Ray died four times, perhaps for lack of memory; give "
            "the same command with smaller shards or on other machines."
        ) from error
    finally:
        if starts:
            ray.shutdown()


def _import_engine(module: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"--{extra} needs an optional package; run: "
            f"pip install '.[{extra}]'"
        ) from error
