r"""Prepare photos or a public data set as TFRecords, or verify a dataset.

    python -m agem_tf.prepare --source=photos --data_dir=data/photos
    python -m agem_tf.prepare --dataset=roxford5k --source=roxford5k \
        --data_dir=data/roxford5k --processes=8
    python -m agem_tf.prepare --data_dir=data/photos --verify

The same command resumes an interrupted preparation.
"""

from __future__ import annotations

from agem_tf import cli, registry
from agem_tf.config import loading

preparation = cli.lazy("agem_tf.datasets.preparation")
prepared = cli.lazy("agem_tf.datasets.prepared")
engines = cli.lazy("agem_tf.distribution.engines")


@cli.options
class PrepareOptions:
    """Options of a preparation."""

    data_dir: str = cli.required("Directory to write the dataset to.")
    source: str | None = cli.option(
        None, "Folder of photos, CSV file, or folder of a download."
    )
    dataset: str = cli.option(
        "photo_folder", "Dataset builder.", choices=registry.names("dataset")
    )
    option: tuple[str, ...] = cli.option(
        (), "Option of the builder, as in test=0.2 or test=church*,bridge."
    )
    skip_bad: bool = cli.option(
        False, "Leave out photos that can't be read, and list them."
    )
    allow_missing: bool = cli.option(
        False, "Accept an incomplete download, and report what it lacks."
    )
    overwrite: bool = cli.option(False, "Replace a finished dataset.")
    processes: int = cli.option(
        1, "Number of local processes that write records.", minimum=1
    )
    beam: str | None = cli.option(
        None, "Flags of Apache Beam, to prepare the dataset on a cluster."
    )
    ray: str | None = cli.option(
        None, "Ray cluster that prepares the dataset: HOST:PORT, auto or local."
    )
    parts_dir: str | None = cli.option(
        None, "Directory that the workers of Beam or Ray write to."
    )


@cli.options
class VerifyOptions:
    """Verify the checksums of a dataset."""

    data_dir: str = cli.required("Directory of the dataset.")


def main(options: PrepareOptions | VerifyOptions) -> prepared.PreparedDataset:
    """Prepares a dataset, opens the finished one, or verifies one."""
    if isinstance(options, VerifyOptions):
        dataset = prepared.PreparedDataset(options.data_dir)
        dataset.verify()
        done = "Verified"
    else:
        dataset = _prepare(options)
        done = "Dataset"
    for line in dataset.describe():
        cli.print_line(line)
    cli.print_line(f"{done}: {options.data_dir}")
    return dataset


def _prepare(options: PrepareOptions) -> prepared.PreparedDataset:
    builder_options = loading.parse_assignments(options.option)
    for name in ("skip_bad", "allow_missing"):
        if getattr(options, name):
            builder_options[name] = True
    if options.source is not None:
        builder_options["source"] = options.source
    return preparation.prepare(
        options.dataset,
        options.data_dir,
        builder_options,
        options.overwrite,
        engines.create_engine(options.processes, options.beam, options.ray),
        options.parts_dir,
    )


if __name__ == "__main__":
    cli.run(main, PrepareOptions, verify=VerifyOptions)
