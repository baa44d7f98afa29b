"""Extracts descriptors of a dataset's split with a trained model.

    python -m agem_tf.extract --workdir=runs/quickstart --split=test \
        --output=descriptors/test

Several --scales are merged into one descriptor. With --queries only the photos
that the ground truth names as queries are described, cut to their boxes.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import app

from agem_tf import cli, config

artifacts = cli.lazy("agem_tf.artifacts")
distribution = cli.lazy("agem_tf.distribution")
runs = cli.lazy("agem_tf.training.runs")

_FLAGS = cli.Flags()
_WORKDIR = _FLAGS.string("workdir", None, "Of the training run.", required=True)
_DATA_DIR = _FLAGS.string(
    "data_dir", None, "Prepared dataset; default: the recipe's."
)
_SPLIT = _FLAGS.string("split", "test", "Split, or several with '+'.")
_OUTPUT = _FLAGS.string(
    "output", None, "Directory of the descriptors.", required=True
)
_QUERIES = _FLAGS.bool("queries", False, "Describe the query boxes.")
_SCALES = _FLAGS.list("scales", None, "Such as 1,0.7071,0.5.")
_IMAGE_SIZE = _FLAGS.integer("image_size", None, "Longer side, pixels.")
_STRATEGY = _FLAGS.enum(
    "strategy", "auto", config.STRATEGIES, "Devices to run on."
)
_OVERWRITE = _FLAGS.bool("overwrite", False, "Do finished work anew.")


def main(
    workdir: str,
    output: str,
    split: str = "test",
    data_dir: str | None = None,
    queries: bool = False,
    scales: Sequence[float] | None = None,
    image_size: int | None = None,
    strategy: str = "auto",
    overwrite: bool = False,
) -> artifacts.DescriptorSet:
    """Writes a descriptor set; see the flags of the same names."""
    devices = distribution.create_strategy(strategy)
    run = runs.open_run(workdir, devices)
    dataset = runs.open_dataset(run.config, workdir, data_dir)
    names = dataset.ground_truth(split).query_names if queries else None
    extractor = run.with_settings(scales, image_size).extractor(devices)
    return extractor.write(
        output, dataset.split(split), names, queries, overwrite
    )


def _run() -> None:
    scales = _SCALES.value and cli.floats("scales", _SCALES.value)
    result = main(
        _WORKDIR.value,
        _OUTPUT.value,
        _SPLIT.value,
        _DATA_DIR.value,
        _QUERIES.value,
        scales,
        _IMAGE_SIZE.value,
        _STRATEGY.value,
        _OVERWRITE.value,
    )
    count, dimension = result.descriptors.shape
    print(f"{count} descriptors of {dimension} dimensions: {_OUTPUT.value}")


if __name__ == "__main__":
    app.run(cli.command(_run), flags_parser=_FLAGS.parse)
