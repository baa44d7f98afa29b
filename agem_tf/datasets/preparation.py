"""From a dataset builder to a finished directory that later stages open."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agem_tf import registry
from agem_tf.datasets import shards
from agem_tf.datasets.assembly import assemble, unfinished_files
from agem_tf.datasets.landmark_builder import LandmarkBuilder
from agem_tf.datasets.prepared import KIND, PreparedDataset
from agem_tf.datasets.runners import Runner, in_process
from agem_tf.errors import UserError
from agem_tf.files.atomic_writing import atomic_directory, atomic_file
from agem_tf.files.manifest import MANIFEST, write_manifest
from agem_tf.progress import Progress

_SHOWN_MISSING = 10


def prepare(
    dataset: str,
    directory: str | pathlib.Path,
    options: dict[str, Any],
    overwrite: bool = False,
    runner: Runner = in_process,
    parts_dir: str | None = None,
    skip_corrupt: bool = False,
) -> PreparedDataset:
    """Writes a dataset, or opens it if it is already there.

    Everything goes to a temporary directory that is renamed at the end, so a
    directory under its final name is always whole. After a failure the same
    call goes on with the record files that were finished.

    Args:
        dataset: name of a builder in the registry.
        directory: where the finished dataset stands.
        options: keyword arguments of the builder.
        overwrite: make it anew although it exists or was begun.
        runner: who writes the record files; see `runners`.
        parts_dir: where unfinished ones stand, if not beside `directory`.
        skip_corrupt: see `PreparedDataset`.

    Raises:
        UserError: bad or missing photos, unknown options, or a finished
            dataset that was made with other options.
    """
    directory = pathlib.Path(directory)
    options = _as_json(options)
    if (directory / MANIFEST).exists() and not overwrite:
        return _open_existing(dataset, directory, options, skip_corrupt)
    with (
        unfinished_files(directory, overwrite, parts_dir) as parts,
        atomic_directory(directory) as temporary,
    ):
        builder = _make_builder(dataset, temporary, options)
        listing = _list(builder, directory)
        planned = shards.plan(builder, dataset, listing, parts)
        _write(builder, planned, runner)
        facts = assemble(builder, dataset, planned, temporary)
        if builder.missing:
            _write_names(temporary / "missing.txt", builder.missing)
        write_manifest(
            temporary,
            KIND,
            dataset=dataset,
            options=options,
            protocol=builder.protocol,
            notes=builder.notes(),
            missing=len(builder.missing),
            **facts,
        )
    return PreparedDataset(directory)


def _as_json(options: dict[str, Any]) -> dict[str, Any]:
    """Returns what the manifest will hold, so that later calls compare equal.

    Raises:
        UserError: JSON can't hold a value.
    """
    try:
        return json.loads(json.dumps(options))
    except (TypeError, ValueError) as error:
        given = ", ".join(f"{name}={options[name]!r}" for name in options)
        raise UserError(
            f"A builder's options must be numbers, strings or lists of them "
            f"({error}). Received: {given}"
        ) from error


def _open_existing(
    dataset: str,
    directory: pathlib.Path,
    options: dict[str, Any],
    skip_corrupt: bool,
) -> PreparedDataset:
    prepared = PreparedDataset(directory, skip_corrupt)
    made = (prepared.manifest["dataset"], prepared.manifest["options"])
    if made != (dataset, options):
        raise UserError(
            f"{directory} holds {made[0]} prepared with {made[1]}, not "
            f"{dataset} with {options}; choose another directory or pass "
            "--overwrite."
        )
    return prepared


def _make_builder(
    dataset: str, data_dir: pathlib.Path, options: dict[str, Any]
) -> LandmarkBuilder:
    builder_class = registry.factory("dataset", dataset)
    try:
        return builder_class(data_dir=str(data_dir), **options)
    except TypeError as error:
        raise UserError(
            f"Dataset {dataset} does not take these options: {error}."
        ) from error


def _list(
    builder: LandmarkBuilder, directory: pathlib.Path
) -> Mapping[str, Sequence[NamedTuple]]:
    listing = builder.listing()
    if not listing:
        raise UserError("The dataset must have at least one landmark.")
    if builder.missing and not builder.allow_missing:
        path = directory.with_name(f"{directory.name}.missing.txt")
        _write_names(path, builder.missing)
        shown = ", ".join(builder.missing[:_SHOWN_MISSING])
        raise UserError(
            f"{len(builder.missing)} photos are missing, such as {shown}; "
            f"{path} lists them all. Download them, or pass --allow_missing."
        )
    return listing


def _write_names(path: pathlib.Path, names: Sequence[str]) -> None:
    with atomic_file(path) as temporary:
        text = "".join(f"{name}\n" for name in names)
        temporary.write_text(text, encoding="utf-8")


def _write(
    builder: LandmarkBuilder,
    planned: Mapping[str, Sequence[shards.Shard]],
    runner: Runner,
) -> None:
    """Has the files written that are not finished yet."""
    every = [shard for of_split in planned.values() for shard in of_split]
    open_items = {
        shard.path: shard.items for shard in every if not shard.is_finished
    }
    total = sum(shard.items for shard in every)
    with Progress("Writing records", total, builder.units) as progress:
        progress.update(total - sum(open_items.values()))
        if open_items:
            for path in runner(list(open_items)):
                progress.update(open_items[path])
