"""From a dataset builder to a finished directory that later stages open."""

import contextlib
import io
import json
import pathlib
import shutil
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from agem_tf import artifacts, registry
from agem_tf.data.landmark_builder import LandmarkBuilder
from agem_tf.data.prepared import KIND, PreparedDataset
from agem_tf.data.records import RecordFile
from agem_tf.errors import UserError


def prepare(
    dataset: str,
    directory: str | pathlib.Path,
    options: dict[str, Any],
    overwrite: bool = False,
) -> PreparedDataset:
    """Writes a dataset, or opens it if it is already there.

    Everything goes to a temporary directory that is renamed at the end, so a
    directory under its final name is always whole.

    Args:
        dataset: name of a builder in the registry.
        directory: where the finished dataset stands.
        options: keyword arguments of the builder.
        overwrite: make it anew although it exists.

    Raises:
        UserError: bad photos, unknown options, or a finished dataset that was
            made with other options.
    """
    directory = pathlib.Path(directory)
    options = _as_json(options)
    if (directory / artifacts.MANIFEST).exists() and not overwrite:
        return _open_existing(dataset, directory, options)
    with artifacts.atomic_directory(directory) as temporary:
        builder = _make_builder(dataset, temporary / "tfds", options)
        _write_records(builder)
        shutil.move(builder.data_dir, temporary / "records")
        shutil.rmtree(temporary / "tfds")
        files = sorted((temporary / "records").glob("*.tfrecord*"))
        splits = _write_indices(builder, temporary, files)
        artifacts.write_manifest(
            temporary,
            KIND,
            dataset=dataset,
            options=options,
            record_files=[
                path.relative_to(temporary).as_posix() for path in files
            ],
            splits=splits,
            skipped=builder.skipped,
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
    dataset: str, directory: pathlib.Path, options: dict[str, Any]
) -> PreparedDataset:
    prepared = PreparedDataset(directory)
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


def _write_records(builder: LandmarkBuilder) -> None:
    """Runs the builder; TFDS would report the temporary directory."""
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare(file_format="tfrecord")


def _write_indices(
    builder: LandmarkBuilder,
    directory: pathlib.Path,
    files: list[pathlib.Path],
) -> dict[str, dict[str, int]]:
    """Writes index and ground truth of each split; returns their counts."""
    (directory / "index").mkdir()
    (directory / "ground_truth").mkdir()
    counts = {}
    for split, info in builder.info.splits.items():
        members = {path.name for path in info.filepaths}
        index = _scan(
            [(i, path) for i, path in enumerate(files) if path.name in members]
        )
        np.savez(directory / "index" / f"{split}.npz", **index)
        names = [str(name) for name in index["names"]]
        truth = builder.ground_truth(
            split, names, index["labels"], index["boxes"]
        )
        truth.save(directory / "ground_truth" / f"{split}.json")
        counts[split] = {
            "photos": len(index["names"]),
            "landmarks": len(np.unique(index["labels"])),
        }
    return counts


def _scan(files: list[tuple[int, pathlib.Path]]) -> dict[str, np.ndarray]:
    rows = []
    for number, path in files:
        record_file = RecordFile(path)
        for offset, payload in record_file.scan():
            feature = tf.train.Example.FromString(payload).features.feature
            rows.append(
                (
                    feature["name"].bytes_list.value[0].decode(),
                    feature["label"].int64_list.value[0],
                    np.asarray(feature["box"].float_list.value, np.float32),
                    number,
                    offset,
                )
            )
        record_file.close()
    names, labels, boxes, numbers, offsets = zip(*rows, strict=True)
    return {
        "names": np.asarray(names),
        "labels": np.asarray(labels, np.int64),
        "boxes": np.stack(boxes),
        "files": np.asarray(numbers, np.int64),
        "offsets": np.asarray(offsets, np.int64),
    }
