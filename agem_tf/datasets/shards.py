"""Record files that are written on their own, each by whoever comes to it.

A directory, of any file system that TensorFlow knows, holds for each of them

    train-00003-of-00012.items      what it is to hold: a header, then one item
                                    a line, in JSON
    train-00003-of-00012.tfrecord   its records
    train-00003-of-00012.npz        name, label, box, size and offset of each;
                                    written last, so the file is finished where
                                    it is
    train-00003-of-00012.error      instead: the sentence about a bad photo

Writing depends on nothing but the items, so local processes and the workers of
a cluster write the same files, and a killed preparation goes on where it was.
"""

import contextlib
import dataclasses
import io
import json
import math
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from agem_tf import registry
from agem_tf._version import __version__
from agem_tf.datasets.landmark_builder import LandmarkBuilder, skipped_entry
from agem_tf.errors import UserError
from agem_tf.photos import reading
from agem_tf.photos.listing import Example

# A reader keeps every file open, and systems allow a process 1024.
MOST_FILES = 256
# Bytes of a TFRecord's framing before and after the payload.
_FRAME = 16


@dataclasses.dataclass(frozen=True)
class Shard:
    """One record file of a split.

    Attributes:
        path: of its files, without the suffix.
        items: how many it is to hold.
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
        return tf.io.gfile.stat(self.records).length

    @property
    def is_finished(self) -> bool:
        """Whether the file is written."""
        return tf.io.gfile.exists(f"{self.path}.npz")


@dataclasses.dataclass(frozen=True)
class ShardIndex:
    """What a finished record file holds.

    Attributes:
        names: of the photos, in the order of the records.
        labels: (photos,) int64.
        boxes: (photos, 4) float32.
        sizes: (photos, 2) int32, height and width as they decode.
        offsets: (photos,) int64, at which byte each record starts.
        skipped: {"photo", "reason"} of those left out.
    """

    names: list[str]
    labels: np.ndarray
    boxes: np.ndarray
    sizes: np.ndarray
    offsets: np.ndarray
    skipped: list[dict[str, str]]


def plan(
    builder: LandmarkBuilder,
    dataset: str,
    listing: Mapping[str, Sequence[NamedTuple]],
    directory: str,
) -> dict[str, list[Shard]]:
    """Writes down what each record file is to hold.

    A file that is already finished and was to hold the same is kept.

    Args:
        builder: of the dataset.
        dataset: its name in the registry.
        listing: items of each split.
        directory: of the record files.
    """
    header = {
        "dataset": dataset,
        "agem_tf": __version__,
        "skip_bad": builder.skip_bad,
    }
    shards = {}
    for split, items in listing.items():
        wanted = math.ceil(len(items) / builder.items_per_file)
        count = min(max(wanted, 1), MOST_FILES)
        borders = np.linspace(0, len(items), count + 1).round().astype(int)
        shards[split] = [
            _plan_shard(
                os.path.join(directory, f"{split}-{i:05d}-of-{count:05d}"),
                header,
                items[borders[i] : borders[i + 1]],
            )
            for i in range(count)
        ]
    return shards


def write(path: str) -> str:
    """Writes a planned record file; returns `path`.

    Args:
        path: of a `Shard`.

    Raises:
        UserError: a photo is bad and bad ones are not to be skipped, or the
            disk is full.
    """
    header, items = _read_plan(path)
    builder = registry.factory("dataset", header["dataset"])
    skipped: list[dict[str, str]] = []

    def skip(name: str, error: UserError) -> None:
        if not header["skip_bad"]:
            raise error
        skipped.append(skipped_entry(name, error))

    examples = (
        example for item in items for example in builder.examples(item, skip)
    )
    # Two workers may write the same file at once; the last one to finish wins.
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    with _failure_named(path):
        rows = _write_records(temporary, builder.features(), examples)
        tf.io.gfile.rename(temporary, f"{path}.tfrecord", overwrite=True)
        _write_index(path, rows, skipped)
    return path


def write_or_note(path: str) -> str:
    """As `write`, but leaves a bad photo's sentence in a file.

    An exception would come back from a cluster as pages of somebody's stack.
    """
    note = f"{path}.error"
    if tf.io.gfile.exists(note):
        tf.io.gfile.remove(note)
    try:
        return write(path)
    except UserError as error:
        _write_bytes(note, str(error).encode())
        return path


def noted_error(path: str) -> str | None:
    """Returns the sentence that `write_or_note` left, if any."""
    note = f"{path}.error"
    return _read_text(note) if tf.io.gfile.exists(note) else None


def read_index(shard: Shard) -> ShardIndex:
    """Reads the index of a finished record file."""
    with tf.io.gfile.GFile(f"{shard.path}.npz", "rb") as file:
        arrays = np.load(io.BytesIO(file.read()), allow_pickle=False)
    return ShardIndex(
        names=arrays["names"].tolist(),
        labels=arrays["labels"],
        boxes=arrays["boxes"],
        sizes=arrays["sizes"],
        offsets=arrays["offsets"],
        skipped=json.loads(str(arrays["skipped"])),
    )


def _plan_shard(
    path: str, header: dict[str, Any], items: Sequence[NamedTuple]
) -> Shard:
    text = "".join(f"{json.dumps(line)}\n" for line in (header, *items))
    shard = Shard(path, len(items))
    if shard.is_finished and _read_text(f"{path}.items") == text:
        return shard
    with _failure_named(path):
        if shard.is_finished:
            tf.io.gfile.remove(f"{path}.npz")
        _write_bytes(f"{path}.items", text.encode())
    return shard


def _read_plan(path: str) -> tuple[dict[str, Any], Iterator[list]]:
    header, *lines = _read_text(f"{path}.items").rstrip("\n").split("\n")
    return json.loads(header), map(json.loads, lines)


def _write_records(
    path: str,
    features: tfds.features.FeaturesDict,
    examples: Iterator[Example],
) -> list[tuple]:
    rows, offset = [], 0
    with tf.io.TFRecordWriter(path) as writer:
        for example in examples:
            payload = _serialize(features, example)
            writer.write(payload)
            rows.append(
                (
                    example["name"],
                    example["label"],
                    example["box"],
                    reading.sides(example["image"]),
                    offset,
                )
            )
            offset += len(payload) + _FRAME
    return rows


def _serialize(features: tfds.features.FeaturesDict, example: Example) -> bytes:
    """Returns the same bytes in every process; TFDS does not."""
    proto = tf.train.Example.FromString(features.serialize_example(example))
    return proto.SerializeToString(deterministic=True)


def _write_index(
    path: str, rows: list[tuple], skipped: list[dict[str, str]]
) -> None:
    names, labels, boxes, sizes, offsets = (
        zip(*rows, strict=True) if rows else [()] * 5
    )
    buffer = io.BytesIO()
    np.savez(
        buffer,
        names=np.asarray(names, np.str_),
        labels=np.asarray(labels, np.int64),
        boxes=np.asarray(boxes, np.float32).reshape(-1, 4),
        sizes=np.asarray(sizes, np.int32).reshape(-1, 2),
        offsets=np.asarray(offsets, np.int64),
        skipped=json.dumps(skipped),
    )
    _write_bytes(f"{path}.npz", buffer.getvalue())


@contextlib.contextmanager
def _failure_named(path: str) -> Iterator[None]:
    try:
        yield
    except tf.errors.OpError as error:
        raise UserError(
            f"{path} cannot be written ({error.message}); make room, or choose "
            "another place."
        ) from error


def _read_text(path: str) -> str:
    with tf.io.gfile.GFile(path, "rb") as file:
        return file.read().decode()


def _write_bytes(path: str, content: bytes) -> None:
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    with tf.io.gfile.GFile(temporary, "wb") as file:
        file.write(content)
    tf.io.gfile.rename(temporary, path, overwrite=True)
