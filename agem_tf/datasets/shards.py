"""Shards: the record files of a dataset, each written independently.

A local or remote directory holds, for each shard,

    train-00003-of-00012.items      plan: a header, then one item per line, in
                                    JSON
    train-00003-of-00012.tfrecord   records
    train-00003-of-00012.npz        name, label, box, size and offset of each
                                    record; written last, so that a shard is
                                    finished if it exists

Writing depends on nothing but the items. So every engine (see
`distribution.engines`) writes the same files, and a killed preparation
resumes.
"""

import dataclasses
import functools
import io
import itertools
import json
import math
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tensorflow as tf
from etils import epath

from agem_tf import registry
from agem_tf._version import __version__
from agem_tf.datasets.landmark_builder import LandmarkBuilder, skipped_entry
from agem_tf.datasets.records import RecordWriter
from agem_tf.errors import UserError
from agem_tf.files.locations import disk_errors_named, request_each
from agem_tf.photos import reading

_Item = TypeVar("_Item")

# 100 million photos are 25 thousand per file, some 5 GB.
MOST_FILES = 4096

# Shards whose items or indexes are in memory at once.
_AT_ONCE = 16

# Of the index of a finished shard; one of another format is written again.
_FORMAT = 2


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

    def read_index(self) -> bytes:
        """Reads the file of the index of the finished shard."""
        return epath.Path(f"{self.path}.npz").read_bytes()


def read_indexes(shards: Sequence[Shard]) -> Iterator[ShardIndex]:
    """Yields the index of each finished shard, in order."""
    for some in _batches(shards):
        # Parsed by one thread: of several that parse headers of NumPy at once,
        # one may raise SystemError in Python 3.11 (gh-106905).
        for content in request_each(Shard.read_index, some):
            arrays = np.load(io.BytesIO(content), allow_pickle=False)
            yield ShardIndex(
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
    listing: Mapping[str, Collection[NamedTuple]],
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
        remaining = iter(items)
        parts = (
            (
                f"{directory}/{split}-{i:05d}-of-{count:05d}",
                list(itertools.islice(remaining, end - first)),
            )
            for i, (first, end) in enumerate(itertools.pairwise(borders))
        )
        plan = functools.partial(_plan_shard, header)
        shards[split] = []
        for some in _batches(parts):
            shards[split] += request_each(plan, some)
    return shards


def _batches(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    remaining = iter(items)
    while batch := list(itertools.islice(remaining, _AT_ONCE)):
        yield batch


def _plan_shard(
    header: Mapping[str, Any], part: tuple[str, Sequence[NamedTuple]]
) -> Shard:
    path, items = part
    shard, plan = Shard(path, len(items)), epath.Path(f"{path}.items")
    text = "".join(f"{json.dumps(line)}\n" for line in (header, *items))
    if not (shard.is_finished and plan.read_text() == text):
        epath.Path(f"{path}.npz").unlink(missing_ok=True)
        _write_bytes(plan, text.encode())
    return shard


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
    with disk_errors_named(path), temporary.open("wb") as file:
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


def _write_bytes(path: epath.Path, content: bytes) -> None:
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    with disk_errors_named(path):
        temporary.write_bytes(content)
    temporary.replace(path)
