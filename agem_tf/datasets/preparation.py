"""Preparing a dataset: from a builder to a directory that later stages open.

Shards are written to a directory of unfinished files, so that the same command
resumes a preparation that failed or was killed. When all are written, they
become the records of a directory that appears under its final name at once; in
an object store they are copied there, and the manifest is written last.
"""

import contextlib
import hashlib
import json
import logging
import os
import pathlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from agem_tf import registry
from agem_tf.datasets.landmark_builder import LandmarkBuilder
from agem_tf.datasets.prepared import KIND, PreparedDataset, Split
from agem_tf.datasets.records import RecordStore
from agem_tf.datasets.shards import (
    Shard,
    plan_shards,
    read_indexes,
    write_shard,
)
from agem_tf.distribution.engines import Engine, in_process
from agem_tf.errors import UserError
from agem_tf.files.atomic_writing import atomic_directory, atomic_file
from agem_tf.files.locations import (
    Location,
    any_location,
    as_location,
    is_remote,
    request_each,
)
from agem_tf.files.locks import BusyError, exclusive
from agem_tf.files.manifest import is_finished, write_manifest
from agem_tf.progress import Progress

_LOG = logging.getLogger(__name__)

_LOCK = "lock"
# Marks files that belong to an interrupted preparation with `overwrite`.
_OVERWRITING = "overwriting"
_SHOWN_MISSING = 10


def prepare(
    dataset: str,
    directory: str | pathlib.Path,
    options: dict[str, Any],
    overwrite: bool = False,
    engine: Engine = in_process,
    parts_dir: str | None = None,
    skip_corrupt: bool = False,
) -> PreparedDataset:
    """Prepares a dataset, or opens it if it is finished.

    A directory under its final name is always complete. After a failure the
    same call keeps the shards that are finished.

    Args:
        dataset: Name of a builder in the registry.
        directory: Local or remote directory of the finished dataset.
        options: Keyword arguments of the builder.
        overwrite: Whether to prepare a finished or begun dataset again; a call
            that was interrupted resumes.
        engine: Writes the shards.
        parts_dir: Local or remote (gs://) directory of unfinished shards; None
            for the parent of `directory`.
        skip_corrupt: See `PreparedDataset`.

    Raises:
        UserError: Photos are bad or missing, options are unknown, a finished
            dataset has other options, or another process is preparing it.
    """
    directory = as_location(directory, "--data_dir")
    options = _as_json(options)
    if is_finished(directory) and not overwrite:
        prepared = PreparedDataset(directory, skip_corrupt)
        made = (prepared.manifest["dataset"], prepared.manifest["options"])
        if made != (dataset, options):
            raise UserError(
                f"{directory} holds {made[0]} prepared with {made[1]}, not "
                f"{dataset} with {options}; choose another directory or pass "
                "--overwrite."
            )
        return prepared
    # Two data sets of one name may share a --parts_dir.
    job = hashlib.sha256(json.dumps([dataset, options]).encode()).hexdigest()
    copies: dict[str, str] = {}
    with (
        _unfinished_files(directory, overwrite, parts_dir, job) as parts,
        atomic_directory(directory, copies=copies) as temporary,
    ):
        builder_class = registry.factory("dataset", dataset)
        try:
            builder = builder_class(data_dir=str(temporary), **options)
        except TypeError as error:
            raise UserError(
                f"Dataset {dataset} does not take these options: {error}."
            ) from error
        shards = plan_shards(
            builder, dataset, _list_items(builder, directory), parts
        )
        _write_shards(builder, shards, engine)
        facts, records = assemble(
            builder, dataset, shards, temporary, not is_remote(directory)
        )
        if is_remote(directory):
            copies |= records
        if builder.missing:
            _write_names(temporary / "missing.txt", builder.missing)
        write_manifest(
            temporary,
            KIND,
            copies,
            dataset=dataset,
            options=options,
            protocol=builder.protocol,
            notes=builder.notes(),
            missing=len(builder.missing),
            **facts,
        )
    return PreparedDataset(directory)


def assemble(
    builder: LandmarkBuilder,
    dataset: str,
    shards: Mapping[str, Sequence[Shard]],
    directory: pathlib.Path,
    link: bool = True,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Makes records/, index/ and ground_truth/ from finished shards.

    Args:
        builder: Builder of the dataset.
        dataset: Name of the builder in the registry.
        shards: Finished shards of each split.
        directory: Empty local directory of the dataset.
        link: Whether the records are linked or copied into the directory.

    Returns:
        Fields of the manifest: "record_files", "splits", "skipped"; and the
        shard of each record file, by its name relative to the directory.

    Raises:
        UserError: A split has no photo, or two photos of the same name.
    """
    for folder in ("records", "index", "ground_truth"):
        (directory / folder).mkdir()
    infos, records, facts = [], {}, {}
    skipped = list(builder.skipped)
    for name, of_split in shards.items():
        split, files, of_shards = _join_shards(
            name, of_split, [*records.values()]
        )
        skipped += of_shards
        info = _split_info(dataset, split, files, directory / "records")
        infos.append(info)
        for shard, path in zip(files, info.filepaths, strict=True):
            records[f"records/{path.name}"] = shard.records
            if link:
                _link(shard.records, path)
            else:
                path.touch()  # TFDS describes only files that are there.
        facts[name] = _write_split(builder, split, directory)
    tfds.folder_dataset.write_metadata(
        data_dir=directory / "records",
        features=builder.features(),
        split_infos=infos,
        check_data=False,
        description=type(builder).__doc__,
    )
    if not link:
        for name in records:
            (directory / name).unlink()
    fields = {
        "record_files": list(records),
        "splits": facts,
        "skipped": skipped,
    }
    return fields, records


@contextlib.contextmanager
def _unfinished_files(
    directory: Location, overwrite: bool, parent: str | None, job: str
) -> Iterator[str]:
    """Yields a locked directory, which is removed if the block succeeds.

    Args:
        directory: Directory of the dataset.
        overwrite: Whether to remove the files that are there, unless those are
            of an earlier call that did so too and was interrupted.
        parent: Local or remote parent; None for that of the dataset.
        job: Hexadecimal digits that tell jobs apart which share a parent.

    Raises:
        UserError: Another process holds the lock.
    """
    name = f".{directory.name}.parts"
    if parent is not None:
        name = f".{directory.name}.{job[:12]}.parts"
    parts = any_location(parent or directory.parent, "--parts_dir") / name
    parts.mkdir(parents=True, exist_ok=True)
    is_local = not is_remote(parts)
    with contextlib.ExitStack() as stack:
        if is_local:  # Remote file systems have no locks.
            busy = BusyError(
                f"Another process is writing to {parts}; wait for it, or "
                "choose another --data_dir."
            )
            stack.enter_context(exclusive(parts / _LOCK, busy))
        overwriting = parts / _OVERWRITING
        starts_again = overwrite and not overwriting.exists()
        for path in parts.iterdir():
            # A process that was killed, or that filled the disk, leaves a part
            # of a shard, and of each further attempt.
            is_litter = is_local and path.suffix == ".tmp"
            if path.name != _LOCK and (starts_again or is_litter):
                path.unlink()
        if starts_again:
            overwriting.touch()
        try:
            yield os.fspath(parts)
        except BaseException:
            finished = [p for p in parts.iterdir() if p.suffix == ".npz"]
            if finished:
                _LOG.info(
                    "%d finished files stay in %s; give the same command to "
                    "resume, or remove them to start again.",
                    len(finished),
                    parts,
                )
            else:
                parts.rmtree()
            raise
        parts.rmtree()


def _as_json(options: dict[str, Any]) -> dict[str, Any]:
    """Returns the options as the manifest will hold them.

    Raises:
        UserError: A value can't be written as JSON.
    """
    try:
        return json.loads(json.dumps(options))
    except (TypeError, ValueError) as error:
        given = ", ".join(f"{name}={options[name]!r}" for name in options)
        raise UserError(
            f"A builder's options must be numbers, strings or lists of them "
            f"({error}). Received: {given}"
        ) from error


def _list_items(
    builder: LandmarkBuilder, directory: Location
) -> Mapping[str, Collection[NamedTuple]]:
    listing = builder.listing()
    if not listing:
        raise UserError("The dataset must have at least one landmark.")
    if builder.missing and not builder.allow_missing:
        path = directory.with_name(f"{directory.name}.missing.txt")
        _write_names(path, builder.missing)
        shown = ", ".join(builder.missing[:_SHOWN_MISSING])
        raise UserError(
            f"{len(builder.missing)} photos are missing, for example {shown}; "
            f"{path} lists them all. Download them, or pass --allow_missing."
        )
    return listing


def _write_names(path: Location, names: Sequence[str]) -> None:
    with atomic_file(path) as temporary:
        text = "".join(f"{name}\n" for name in names)
        temporary.write_text(text, encoding="utf-8")


def _write_shards(
    builder: LandmarkBuilder,
    shards: Mapping[str, Sequence[Shard]],
    engine: Engine,
) -> None:
    """Writes the shards that are not finished."""
    every = [shard for of_split in shards.values() for shard in of_split]
    finished = request_each(lambda shard: shard.is_finished, every)
    items = {
        shard.path: shard.items
        for shard, is_done in zip(every, finished, strict=True)
        if not is_done
    }
    total = sum(shard.items for shard in every)
    with Progress("Writing records", total, builder.units) as progress:
        progress.update(total - sum(items.values()))
        if items:
            for path in engine(write_shard, list(items)):
                progress.update(items[path])


def _join_shards(
    name: str, shards: Sequence[Shard], earlier: Sequence[str]
) -> tuple[Split, list[Shard], list[dict[str, str]]]:
    """Joins the indexes of the shards of a split.

    Args:
        name: Name of the split.
        shards: Its finished shards.
        earlier: Record files of the dataset before those of the split.

    Returns:
        The split, those of its shards that have records, and the photos that
        were skipped.

    Raises:
        UserError: The split has no photo, or two photos of the same name.
    """
    pairs = list(zip(shards, read_indexes(shards), strict=True))
    skipped = [entry for _, index in pairs for entry in index.skipped]
    files = [shard for shard, index in pairs if index.names]
    indexes = [index for _, index in pairs if index.names]
    if not files:
        raise UserError(
            f"Split {name} has no usable photo; repair those that were "
            "skipped, or choose other landmarks for it."
        )
    names = [photo for index in indexes for photo in index.names]
    _check_distinct(name, names)
    sources = [*earlier, *(shard.records for shard in files)]
    split = Split(
        name=name,
        names=names,
        labels=np.concatenate([index.labels for index in indexes]),
        boxes=np.concatenate([index.boxes for index in indexes]),
        sizes=np.concatenate([index.sizes for index in indexes]),
        files=np.repeat(
            np.arange(len(earlier), len(sources)),
            [len(index.names) for index in indexes],
        ),
        offsets=np.concatenate([index.offsets for index in indexes]),
        store=RecordStore(
            [as_location(path, "--parts_dir") for path in sources]
        ),
    )
    return split, files, skipped


def _check_distinct(split: str, names: Sequence[str]) -> None:
    # A set would need several times the memory.
    hashes = np.sort(np.fromiter(map(hash, names), np.int64, len(names)))
    if (hashes[1:] == hashes[:-1]).any():
        repeated = [n for n, count in Counter(names).items() if count > 1]
        if repeated:
            raise UserError(
                f"Split {split} has two photos named {repeated[0]!r}; keep one."
            )


def _split_info(
    dataset: str,
    split: Split,
    files: Sequence[Shard],
    directory: pathlib.Path,
) -> tfds.core.SplitInfo:
    """Returns TFDS' description of a split, with the names of its files."""
    _, lengths = np.unique(split.files, return_counts=True)
    return tfds.core.SplitInfo(
        name=split.name,
        shard_lengths=lengths.tolist(),
        num_bytes=sum(shard.size for shard in files),
        filename_template=tfds.core.ShardedFileTemplate(
            directory,
            dataset_name=dataset,
            split=split.name,
            filetype_suffix="tfrecord",
        ),
    )


def _link(records: str, path: epath.Path) -> None:
    try:
        # Takes no space, and leaves the unfinished file.
        os.link(records, path)
    except OSError:  # Another file system, or one without links.
        epath.Path(records).copy(path)


def _write_split(
    builder: LandmarkBuilder, split: Split, directory: pathlib.Path
) -> dict[str, Any]:
    """Writes the index and the ground truth of a split; returns its facts."""
    arrays = {
        # An array of texts would be as wide as the longest for each.
        "names": np.frombuffer("\n".join(split.names).encode(), np.uint8),
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
        position = {name: i for i, name in enumerate(split.names)}
        present = [
            (position[query], position[positive])
            for query, positive in pairs
            if query in position and positive in position
        ]
        arrays["pairs"] = np.array(present, np.int64).reshape(-1, 2)
        facts["pairs"] = len(present)
        lost["pairs"] = len(pairs) - len(present)
    np.savez(directory / "index" / f"{split.name}.npz", **arrays)
    truth = builder.ground_truth(split)
    if truth is not None:
        truth, lost_answers = truth.restricted_to(split.names)
        truth.save(directory / "ground_truth" / f"{split.name}.json")
        facts["queries"] = len(truth.queries)
        lost |= lost_answers
    return facts | {"lost": {key: n for key, n in lost.items() if n}}
