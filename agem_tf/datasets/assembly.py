"""Where record files wait until all of them are there.

A preparation that fails or is killed leaves its finished files behind, and the
same command goes on with them.

From finished record files to a dataset that later stages open.
"""

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging

from agem_tf.datasets.completeness import restrict
from agem_tf.datasets.landmark_builder import LandmarkBuilder
from agem_tf.datasets.prepared import Split
from agem_tf.datasets.records import RecordStore
from agem_tf.datasets.remote import is_remote
from agem_tf.datasets.shards import Shard, ShardIndex, read_index
from agem_tf.errors import UserError


@contextlib.contextmanager
def unfinished_files(
    directory: pathlib.Path, overwrite: bool, parent: str | None = None
) -> Iterator[str]:
    """Yields a directory that is removed when the block succeeds.

    Args:
        directory: of the dataset that is being prepared.
        overwrite: start with no file.
        parent: where to put it, if not hidden beside `directory`; may be of
            any file system that TensorFlow knows.

    Raises:
        UserError: another process is preparing the same dataset.
    """
    parts = os.path.join(parent or directory.parent, f".{directory.name}.parts")
    tf.io.gfile.makedirs(parts)
    with _locked(parts):
        if overwrite:
            _empty(parts)
        try:
            yield parts
        except BaseException:
            _keep_finished(parts)
            raise
        tf.io.gfile.rmtree(parts)


def _keep_finished(parts: str) -> None:
    names = tf.io.gfile.listdir(parts)
    finished = [name for name in names if name.endswith(".npz")]
    if not finished:
        tf.io.gfile.rmtree(parts)
        return
    logging.info(
        "%d finished files stay in %s; the same command goes on with them, "
        "--overwrite starts anew.",
        len(finished),
        parts,
    )


def _empty(parts: str) -> None:
    for name in tf.io.gfile.listdir(parts):
        tf.io.gfile.remove(os.path.join(parts, name))


@contextlib.contextmanager
def _locked(parts: str) -> Iterator[None]:
    """Holds a lock that the operating system releases with the process.

    Other file systems than the machine's own have none.
    """
    if is_remote(parts):
        yield
        return
    descriptor = os.open(parts, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise UserError(
            f"Another process is writing to {parts}; wait for it, or choose "
            "another --data_dir."
        ) from error
    except OSError:
        pass  # A network file system without locks.
    try:
        yield
    finally:
        os.close(descriptor)


# Record files of a split, and what they hold.
_Files = list[tuple[Shard, ShardIndex]]


def assemble(
    builder: LandmarkBuilder,
    dataset: str,
    shards: Mapping[str, Sequence[Shard]],
    directory: pathlib.Path,
) -> dict[str, Any]:
    """Makes records/, index/ and ground_truth/ in `directory`.

    Args:
        builder: of the dataset.
        dataset: its name in the registry.
        shards: finished record files of each split.
        directory: empty.

    Returns:
        Fields of the manifest: "record_files", "splits", "skipped".

    Raises:
        UserError: a split has no photo, or two photos of one name.
    """
    for folder in ("records", "index", "ground_truth"):
        (directory / folder).mkdir()
    written = {
        split: [(shard, read_index(shard)) for shard in of_split]
        for split, of_split in shards.items()
    }
    files = {
        split: _with_photos(split, of_split)
        for split, of_split in written.items()
    }
    infos = [
        _collect(dataset, split, of_split, directory / "records")
        for split, of_split in files.items()
    ]
    tfds.folder_dataset.write_metadata(
        data_dir=directory / "records",
        features=builder.features(),
        split_infos=infos,
        check_data=False,
        description=type(builder).__doc__,
    )
    paths = [pathlib.Path(path) for info in infos for path in info.filepaths]
    store, first, splits = RecordStore(paths), 0, {}
    for split, of_split in files.items():
        opened = _open(split, of_split, first, store)
        splits[split] = _describe(builder, opened, directory)
        first += len(of_split)
    return {
        "record_files": [
            path.relative_to(directory).as_posix() for path in paths
        ],
        "splits": splits,
        "skipped": [
            *builder.skipped,
            *(
                entry
                for of_split in written.values()
                for _, index in of_split
                for entry in index.skipped
            ),
        ],
    }


def _with_photos(split: str, files: _Files) -> _Files:
    """Returns the files that are not empty."""
    names = [name for _, index in files for name in index.names]
    if not names:
        raise UserError(
            f"Split {split} has no usable photo; repair those that were "
            "skipped, or choose other landmarks for it."
        )
    if len(set(names)) < len(names):
        seen: set[str] = set()
        twice = next(n for n in names if n in seen or seen.add(n))
        raise UserError(
            f"Split {split} has two photos named {twice!r}; keep one."
        )
    return [(shard, index) for shard, index in files if index.names]


def _collect(
    dataset: str, split: str, files: _Files, directory: pathlib.Path
) -> tfds.core.SplitInfo:
    """Takes a split's files over, under the names that TFDS expects."""
    info = tfds.core.SplitInfo(
        name=split,
        shard_lengths=[len(index.names) for _, index in files],
        num_bytes=sum(shard.size for shard, _ in files),
        filename_template=tfds.core.ShardedFileTemplate(
            directory,
            dataset_name=dataset,
            split=split,
            filetype_suffix="tfrecord",
        ),
    )
    for (shard, _), path in zip(files, info.filepaths, strict=True):
        _take_over(shard.records, path)
    return info


def _take_over(source: str, target: os.PathLike) -> None:
    """Links the file, which takes no space and leaves the unfinished one."""
    try:
        os.link(source, target)
    except OSError:  # Another file system, or one without links.
        tf.io.gfile.copy(source, target)


def _open(name: str, files: _Files, first: int, store: RecordStore) -> Split:
    indices = [index for _, index in files]
    return Split(
        name=name,
        names=[name for index in indices for name in index.names],
        labels=np.concatenate([index.labels for index in indices]),
        boxes=np.concatenate([index.boxes for index in indices]),
        sizes=np.concatenate([index.sizes for index in indices]),
        files=np.repeat(
            np.arange(first, first + len(files)),
            [len(index.names) for index in indices],
        ),
        offsets=np.concatenate([index.offsets for index in indices]),
        store=store,
    )


def _describe(
    builder: LandmarkBuilder, split: Split, directory: pathlib.Path
) -> dict[str, Any]:
    """Writes the index and the ground truth of a split; returns its facts."""
    arrays = {
        "names": np.asarray(split.names),
        "labels": split.labels,
        "boxes": split.boxes,
        "sizes": split.sizes,
        "files": split.files,
        "offsets": split.offsets,
    }
    known = split.labels[split.labels >= 0]
    facts = {"photos": len(split), "landmarks": len(np.unique(known))}
    lost = {}
    pairs = builder.pairs(split.name)
    if pairs is not None:
        arrays["pairs"] = _positions(pairs, split.names)
        facts["pairs"] = len(arrays["pairs"])
        lost["pairs"] = len(pairs) - facts["pairs"]
    np.savez(directory / "index" / f"{split.name}.npz", **arrays)
    truth = builder.ground_truth(split)
    if truth is not None:
        truth, lost_answers = restrict(truth, split.names)
        truth.save(directory / "ground_truth" / f"{split.name}.json")
        facts["queries"] = len(truth.queries)
        lost |= lost_answers
    return facts | {"lost": {key: n for key, n in lost.items() if n}}


def _positions(
    pairs: Sequence[tuple[str, str]], names: Sequence[str]
) -> np.ndarray:
    position = {name: i for i, name in enumerate(names)}
    there = [
        (position[query], position[positive])
        for query, positive in pairs
        if query in position and positive in position
    ]
    return np.array(there, np.int64).reshape(-1, 2)
