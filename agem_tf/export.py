"""Exports a trained model as a SavedModel that needs none of this package.

    python -m agem_tf.export --workdir=runs/quickstart --output=model \
        --whitening=runs/quickstart/whitening
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from absl import app

from agem_tf import cli

descriptor_sets = cli.lazy("agem_tf.descriptors.descriptor_set")
whitenings = cli.lazy("agem_tf.descriptors.linear_whitening")
strategies = cli.lazy("agem_tf.distribution.strategies")
run_files = cli.lazy("agem_tf.training.workdir")
runs = cli.lazy("agem_tf.training.runs")
saved_model = cli.lazy("agem_tf.saved_models.retrieval_model")

_FLAGS = cli.Flags()
_WORKDIR = _FLAGS.string("workdir", None, "Of the training run.", required=True)
_OUTPUT = _FLAGS.string(
    "output", None, "Directory of the SavedModel.", required=True
)
_WHITENING = _FLAGS.string("whitening", None, "Whitening to build in.")
_SCALES = _FLAGS.numbers("scales", "Such as 1,0.7071,0.5.")
_IMAGE_SIZE = _FLAGS.integer("image_size", None, "Longer side, pixels.")


def main(
    workdir: str,
    output: str,
    whitening: str | None = None,
    scales: Sequence[float] | None = None,
    image_size: int | None = None,
) -> pathlib.Path:
    """Writes a SavedModel; see the flags of the same names."""
    run_files.read_recipe(workdir)
    learned = whitenings.LinearWhitening.load(whitening) if whitening else None
    run = runs.open_run(workdir, strategies.create_strategy("one"))
    run = run.with_settings(scales, image_size)
    return saved_model.export_model(
        run.model, output, run.config.image, run.config.extraction, learned
    )


def _run() -> None:
    print(f"SavedModel: {main(**_FLAGS.flag_values_dict())}")


if __name__ == "__main__":
    app.run(cli.command(_run), flags_parser=_FLAGS.parse)
