"""Shards: the record files of a dataset, each written independently.

A local or remote directory holds, for each shard,

    train-00003-of-00012.items      plan: a header, then one item per line, in
                                    JSON
    train-00003-of-00012.tfrecord   records
    train-00003-of-00012.npz        name, label, box, size and offset of each
                                    record; written last, so that a shard is
                                    finished if it exists
    train-00003-of-00012.error      instead: the error of a bad photo

Writing depends on nothing but the items. So this process, local processes or
the workers of a cluster write the same files, and a killed preparation
resumes. A runner takes the paths of planned shards and yields each path when
its shard is written, in any order.
"""

import concurrent.futures
import dataclasses
import functools
import importlib
import io
import json
import math
import multiprocessing
import os
import shlex
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from etils import epath

from agem_tf import native_output, registry
from agem_tf._version import __version__
from agem_tf.datasets.landmark_builder import LandmarkBuilder, skipped_entry
from agem_tf.datasets.processes import end_with_parent
from agem_tf.datasets.records import RecordWriter
from agem_tf.errors import UserError
from agem_tf.photos import reading

# A reader keeps every file open, and systems allow a process 1024.
MOST_FILES = 256

# Of the index of a finished shard; one of another format is written again.
_FORMAT = 2

Runner = Callable[[Sequence[str]], Iterator[str]]


@dataclasses.dataclass(frozen=True)
class ShardIndex:
    """The contents of a finished shard.

    Attributes:
        names: Names of the photos, in the order of the records.
        labels: (photos,) int64.
        boxes: (photos, 4) float32.
        sizes: (photos, 2) int32, height and width as decoded.
        offsets: (photos,) int64, byte at which each record starts.
        skipped: {"photo", "reason"} of each photo that was skipped.
    """

    names: list[str]
    labels: np.ndarray
    boxes: np.ndarray
    sizes: np.ndarray
    offsets: np.ndarray
    skipped: list[dict[str, str]]


@dataclasses.dataclass(frozen=True)
class Shard:
    """One record file of a split.

    Attributes:
        path: Common path of its files, without suffix.
        items: Number of items to write.
    """

    path: str
    items: int

    @property
    def records(self) -> str:
        """Path of the TFRecord file."""
        return f"{self.path}.tfrecord"

    @property
    def size(self) -> int:
        """Bytes of the TFRecord file."""
        return epath.Path(self.records).stat().length

    @property
    def is_finished(self) -> bool:
        """Whether the shard is written."""
        return epath.Path(f"{self.path}.npz").exists()

    def read_index(self) -> ShardIndex:
        """Reads the index of the finished shard."""
        content = epath.Path(f"{self.path}.npz").read_bytes()
        arrays = np.load(io.BytesIO(content), allow_pickle=False)
        return ShardIndex(
            names=json.loads(str(arrays["names"])),
            labels=arrays["labels"],
            boxes=arrays["boxes"],
            sizes=arrays["sizes"],
            offsets=arrays["offsets"],
            skipped=json.loads(str(arrays["skipped"])),
        )


def plan_shards(
    builder: LandmarkBuilder,
    dataset: str,
    listing: Mapping[str, Sequence[NamedTuple]],
    directory: str,
) -> dict[str, list[Shard]]:
    """Writes the plan of every shard.

    A shard that is finished according to the same plan is kept.

    Args:
        builder: Builder of the dataset.
        dataset: Name of the builder in the registry.
        listing: Items of each split.
        directory: Local or remote directory of the shards.

    Returns:
        The shards of each split, in the order of the items.
    """
    header = {
        "dataset": dataset,
        "agem_tf": __version__,
        "skip_bad": builder.skip_bad,
        "format": _FORMAT,
    }
    shards: dict[str, list[Shard]] = {}
    for split, items in listing.items():
        wanted = math.ceil(len(items) / builder.items_per_file)
        count = min(max(wanted, 1), MOST_FILES)
        borders = np.linspace(0, len(items), count + 1).round().astype(int)
        shards[split] = []
        for i in range(count):
            part = items[borders[i] : borders[i + 1]]
            path = os.path.join(directory, f"{split}-{i:05d}-of-{count:05d}")
            shard, plan = Shard(path, len(part)), epath.Path(f"{path}.items")
            lines = [json.dumps(line) for line in (header, *part)]
            text = "\n".join(lines) + "\n"
            if not (shard.is_finished and plan.read_text() == text):
                epath.Path(f"{path}.npz").unlink(missing_ok=True)
                _write_bytes(plan, text.encode())
            shards[split].append(shard)
    return shards


def write_shard(path: str) -> str:
    """Writes a planned shard; returns `path`.

    Args:
        path: Path of a `Shard`.

    Raises:
        UserError: A photo is bad, and bad photos are not to be skipped.
        OSError: The disk is full, for example.
    """
    plan = epath.Path(f"{path}.items").read_text()
    header, *items = map(json.loads, plan.rstrip("\n").split("\n"))
    builder = registry.factory("dataset", header["dataset"])
    features = builder.features()
    skipped: list[dict[str, str]] = []

    def skip(name: str, error: UserError) -> None:
        if not header["skip_bad"]:
            raise error
        skipped.append(skipped_entry(name, error))

    rows = []
    # Two workers may write the same shard at once; the last to finish wins.
    temporary = epath.Path(f"{path}.{uuid.uuid4().hex}.tmp")
    with temporary.open("wb") as file:
        writer = RecordWriter(file)
        for item in items:
            for example in builder.examples(item, skip):
                # The bytes of TFDS differ between processes.
                proto = tf.train.Example.FromString(
                    features.serialize_example(example)
                )
                offset = writer.write(
                    proto.SerializeToString(deterministic=True)
                )
                rows.append(
                    (
                        example["name"],
                        example["label"],
                        example["box"],
                        reading.encoded_sides(example["image"]),
                        offset,
                    )
                )
    temporary.replace(f"{path}.tfrecord")
    names, labels, boxes, sizes, offsets = (
        zip(*rows, strict=True) if rows else [()] * 5
    )
    buffer = io.BytesIO()
    np.savez(
        buffer,
        # An array of texts would be as wide as the longest for each.
        names=json.dumps(names),
        labels=np.asarray(labels, np.int64),
        boxes=np.asarray(boxes, np.float32).reshape(-1, 4),
        sizes=np.asarray(sizes, np.int32).reshape(-1, 2),
        offsets=np.asarray(offsets, np.int64),
        skipped=json.dumps(skipped),
    )
    _write_bytes(epath.Path(f"{path}.npz"), buffer.getvalue())
    return path


def write_shard_or_note(path: str) -> str:
    """Writes a planned shard, or a file with the error of a bad photo.

    An exception would return from a cluster as pages of stack traces.
    """
    note = epath.Path(f"{path}.error")
    note.unlink(missing_ok=True)
    try:
        return write_shard(path)
    except UserError as error:
        _write_bytes(note, str(error).encode())
        return path


def noted_error(path: str) -> str | None:
    """Returns the error that `write_shard_or_note` noted, if any."""
    note = epath.Path(f"{path}.error")
    return note.read_text() if note.exists() else None


def create_runner(processes: int = 1, beam: str | None = None) -> Runner:
    """Returns the runner that the flags of the command ask for.

    Args:
        processes: Number of local processes.
        beam: Flags of Apache Beam, which replaces the local processes.

    Raises:
        UserError: Both are given, or one is impossible.
    """
    if processes < 1 or (processes > 1 and beam is not None):
        raise UserError(
            "--processes must be at least 1, and can't be combined with "
            f"--beam. Received: processes={processes}, beam={beam!r}"
        )
    if beam is not None:
        return on_beam(beam)
    return in_process if processes == 1 else in_processes(processes)


def in_process(paths: Sequence[str]) -> Iterator[str]:
    """Writes one shard after the other."""
    return map(write_shard, paths)


def in_processes(count: int) -> Runner:
    """Returns a runner that keeps `count` local processes busy."""
    return functools.partial(_run_pool, count)


def on_beam(options: str) -> Runner:
    """Returns a runner that starts one Apache Beam pipeline.

    Dataflow, Flink or Spark may run it. Their workers need this package, and
    photos and unfinished shards on a file system that all of them share.

    Args:
        options: Flags of Beam, for example "--runner=FlinkRunner".

    Raises:
        UserError: Beam, an optional dependency, is not installed.
    """
    try:
        import apache_beam
    except ImportError as error:
        raise UserError(
            "--beam needs Apache Beam; run: pip install apache-beam"
        ) from error
    return functools.partial(_run_beam, apache_beam, shlex.split(options))


def _run_pool(count: int, paths: Sequence[str]) -> Iterator[str]:
    # Spawned, because a fork of a process that runs TensorFlow can deadlock.
    with concurrent.futures.ProcessPoolExecutor(
        count,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
    ) as pool:
        tasks = [pool.submit(write_shard, path) for path in paths]
        try:
            for task in concurrent.futures.as_completed(tasks):
                yield task.result()
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
    apache_beam, options: Sequence[str], paths: Sequence[str]
) -> Iterator[str]:
    with apache_beam.Pipeline(argv=options) as pipeline:
        (
            pipeline
            | apache_beam.Create(paths)
            # Without it, some runners give all paths to one worker.
            | apache_beam.Reshuffle()
            | apache_beam.Map(write_shard_or_note)
        )
    for path in paths:
        sentence = noted_error(path)
        if sentence is not None:
            raise UserError(sentence)
        yield path


def _write_bytes(path: epath.Path, content: bytes) -> None:
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)
