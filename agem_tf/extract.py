"""Extracts descriptors of a dataset's split with a trained model.

    python -m agem_tf.extract --workdir=runs/quickstart --split=test \
        --output=descriptors/test

Several --scales are merged into one descriptor. With --queries only the photos
that the ground truth names as queries are described, cut to their boxes. The
same command goes on where it was interrupted; SIGTERM ends it with status 75.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import app

from agem_tf import cli, config
from agem_tf.distribution import preemption

descriptor_sets = cli.lazy("agem_tf.descriptors.descriptor_set")
whitenings = cli.lazy("agem_tf.descriptors.linear_whitening")
availability = cli.lazy("agem_tf.distribution.preflight")
strategies = cli.lazy("agem_tf.distribution.strategies")
workers = cli.lazy("agem_tf.distribution.workers")
run_files = cli.lazy("agem_tf.training.workdir")
runs = cli.lazy("agem_tf.training.runs")

_FLAGS = cli.Flags()
_FLAGS.string("workdir", None, "Of the training run.", required=True)
_FLAGS.string("data_dir", None, "Prepared dataset; default: the recipe's.")
_FLAGS.string("split", "test", "Split, or several with '+'.")
_OUTPUT = _FLAGS.string("output", None, "Of the descriptors.", required=True)
_FLAGS.bool("queries", False, "Describe the query boxes.")
_FLAGS.numbers("scales", "Such as 1,0.7071,0.5.")
_FLAGS.integer("image_size", None, "Longer side, pixels.")
_FLAGS.enum("strategy", "auto", config.STRATEGIES, "Devices to run on.")
_FLAGS.string("tpu", "", "local (the default), NAME or grpc://HOST:PORT.")
_FLAGS.bool("skip_corrupt", False, "Do without photos that can't be read.")
_FLAGS.bool("overwrite", False, "Do finished work anew.")


def main(
    workdir: str,
    output: str,
    split: str = "test",
    data_dir: str | None = None,
    queries: bool = False,
    scales: Sequence[float] | None = None,
    image_size: int | None = None,
    strategy: str = "auto",
    tpu: str = "",
    skip_corrupt: bool = False,
    overwrite: bool = False,
) -> descriptor_sets.DescriptorSet:
    """Writes a descriptor set; see the flags of the same names."""
    recipe = run_files.read_recipe(workdir)
    availability.check_devices(strategy, tpu)
    dataset = runs.open_dataset(recipe, workdir, data_dir, skip_corrupt)
    names = (
        dataset.ground_truth(split).query_names
        if queries
        else dataset.database_names(split)
    )
    devices = strategies.create_strategy(strategy, tpu)
    with workers.lost_workers_named(devices):
        run = runs.open_run(workdir, devices).with_settings(scales, image_size)
        return run.extractor(devices).write(
            output, dataset.split(split), names, queries, overwrite
        )


def _run() -> None:
    preemption.listen()
    made = main(**_FLAGS.flag_values_dict())
    count, dimension = made.descriptors.shape
    print(f"{count} descriptors of {dimension} dimensions: {_OUTPUT.value}")
    if lost := made.provenance.get("lost"):
        print(f"{len(lost)} photo(s) can't be read, such as {lost[0]}")


if __name__ == "__main__":
    app.run(cli.command(_run), flags_parser=_FLAGS.parse)
