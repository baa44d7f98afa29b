"""Makes a dataset of TFRecords out of photos, or checks one.

    python -m agem_tf.prepare --source=photos --data_dir=data/photos
    python -m agem_tf.prepare --dataset=roxford5k --source=roxford5k \
        --data_dir=data/roxford5k --processes=8
    python -m agem_tf.prepare --data_dir=data/photos --verify

Whatever stops it, the same command goes on with what is finished.
"""

from __future__ import annotations

from typing import Any

from absl import app

from agem_tf import cli, registry
from agem_tf.config import loading

preparation = cli.lazy("agem_tf.datasets.preparation")
prepared = cli.lazy("agem_tf.datasets.prepared")
runners = cli.lazy("agem_tf.datasets.runners")

_FLAGS = cli.Flags()
_DATASET = _FLAGS.enum(
    "dataset", "photo_folder", registry.names("dataset"), "Dataset builder."
)
_SOURCE = _FLAGS.string("source", None, "Folder of photos, CSV or download.")
_DATA_DIR = _FLAGS.string(
    "data_dir", None, "Where the dataset is written.", required=True
)
_OPTION = _FLAGS.multi_string(
    "option", [], "Builder option: test=0.2, test=church*,bridge; repeatable."
)
_BUILDER_FLAGS = [
    _FLAGS.bool("skip_bad", False, "Leave bad photos out, and list them."),
    _FLAGS.bool("allow_missing", False, "Leave out what a download lacks."),
]
_VERIFY = _FLAGS.bool("verify", False, "Check a dataset's checksums.")
_HOW = [
    _FLAGS.bool("overwrite", False, "Make it anew."),
    _FLAGS.integer("processes", 1, "Local processes that write."),
    _FLAGS.string("beam", None, "Instead: Apache Beam, with these flags."),
    _FLAGS.string("parts_dir", None, "Where Beam's workers write."),
]


def main(
    dataset: str,
    data_dir: str,
    options: dict[str, Any],
    overwrite: bool = False,
    processes: int = 1,
    beam: str | None = None,
    parts_dir: str | None = None,
) -> prepared.PreparedDataset:
    """Prepares a dataset, or opens the finished one; see `preparation`."""
    runner = runners.create(processes, beam)
    return preparation.prepare(
        dataset, data_dir, options, overwrite, runner, parts_dir
    )


def verify(data_dir: str) -> prepared.PreparedDataset:
    """Opens a dataset and checks every file against its checksum."""
    dataset = prepared.PreparedDataset(data_dir)
    dataset.verify()
    return dataset


def _prepare() -> prepared.PreparedDataset:
    options = loading.parse_options(_OPTION.value)
    options |= {flag.name: True for flag in _BUILDER_FLAGS if flag.value}
    if _SOURCE.value is not None:
        options["source"] = _SOURCE.value
    how = {flag.name: flag.value for flag in _HOW}
    return main(_DATASET.value, _DATA_DIR.value, options, **how)


def _run() -> None:
    dataset = verify(_DATA_DIR.value) if _VERIFY.value else _prepare()
    for line in dataset.describe():
        print(line)
    print(f"{'Verified' if _VERIFY.value else 'Dataset'}: {_DATA_DIR.value}")


if __name__ == "__main__":
    app.run(cli.command(_run), flags_parser=_FLAGS.parse)
