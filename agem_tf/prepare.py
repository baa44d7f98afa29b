"""Makes a dataset of TFRecords out of photos, or checks one.

python -m agem_tf.prepare --source=photos --data_dir=data/photos
python -m agem_tf.prepare --data_dir=data/photos --verify
"""

from __future__ import annotations

from typing import Any

from absl import app

from agem_tf import cli, recipes, registry

preparation = cli.lazy("agem_tf.data.preparation")
prepared = cli.lazy("agem_tf.data.prepared")

_FLAGS = cli.Flags()
_DATASET = _FLAGS.enum(
    "dataset", "photo_folder", registry.names("dataset"), "Dataset builder."
)
_SOURCE = _FLAGS.string(
    "source", None, "Folder with a folder a landmark, or a CSV."
)
_DATA_DIR = _FLAGS.string(
    "data_dir", None, "Where the dataset is written.", required=True
)
_OPTION = _FLAGS.multi_string(
    "option",
    [],
    "Builder option: test=0.2, test=church*,bridge, ...; may be repeated.",
)
_SKIP_BAD = _FLAGS.bool(
    "skip_bad", False, "Leave bad photos out, counted in the manifest."
)
_VERIFY = _FLAGS.bool(
    "verify", False, "Check an existing dataset against its checksums."
)
_OVERWRITE = _FLAGS.bool("overwrite", False, "Make it anew.")


def main(
    dataset: str, data_dir: str, options: dict[str, Any], overwrite: bool
) -> prepared.PreparedDataset:
    """Prepares a dataset, or opens the finished one."""
    return preparation.prepare(dataset, data_dir, options, overwrite)


def verify(data_dir: str) -> prepared.PreparedDataset:
    """Opens a dataset and checks every file against its checksum."""
    dataset = prepared.PreparedDataset(data_dir)
    dataset.verify()
    return dataset


def _options() -> dict[str, Any]:
    options = recipes.parse_options(_OPTION.value)
    if _SOURCE.value is not None:
        options["source"] = _SOURCE.value
    if _SKIP_BAD.value:
        options["skip_bad"] = True
    return options


def _run() -> None:
    if _VERIFY.value:
        dataset = verify(_DATA_DIR.value)
    else:
        dataset = main(
            _DATASET.value, _DATA_DIR.value, _options(), _OVERWRITE.value
        )
    for split, counts in dataset.manifest["splits"].items():
        print(
            f"{split}: {counts['photos']} photos of {counts['landmarks']} "
            "landmarks"
        )
    for skipped in dataset.manifest["skipped"]:
        print(f"skipped {skipped['photo']}: {skipped['reason']}")
    print(f"{'Verified' if _VERIFY.value else 'Dataset'}: {_DATA_DIR.value}")


if __name__ == "__main__":
    app.run(cli.command(_run), flags_parser=_FLAGS.parse)
