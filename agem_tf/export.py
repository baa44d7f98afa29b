r"""Export a trained model as a SavedModel that does not need this package.

    python -m agem_tf.export --workdir=runs/quickstart --output=model \
        --whitening=runs/quickstart/whitening

A run with attentive pooling (DELF) becomes a SavedModel of local features, with
the signature of the published TensorFlow Hub module.
"""

from __future__ import annotations

import pathlib

from agem_tf import cli
from agem_tf.config.shared_options import ScaleOptions

linear_whitening = cli.lazy("agem_tf.descriptors.linear_whitening")
local_extractor = cli.lazy("agem_tf.extraction.local_extractor")
local_model = cli.lazy("agem_tf.saved_models.local_model")
strategies = cli.lazy("agem_tf.distribution.strategies")
run_files = cli.lazy("agem_tf.training.workdir")
runs = cli.lazy("agem_tf.training.runs")
saved_model = cli.lazy("agem_tf.saved_models.retrieval_model")


@cli.options
class ExportOptions(ScaleOptions):
    """Options of an export."""

    workdir: str = cli.required("Directory of the training run.")
    output: str = cli.required("Directory to write the SavedModel to.")
    whitening: str | None = cli.option(None, "Whitening to include.")


def main(options: ExportOptions) -> pathlib.Path:
    """Writes a SavedModel and returns its path."""
    # A wrong path is reported before TensorFlow's import.
    run_files.read_recipe(options.workdir)
    learned = None
    if options.whitening:
        learned = linear_whitening.LinearWhitening.load(
            options.whitening, verify=True
        )
    run = runs.open_run(options.workdir, strategies.create_strategy("one"))
    run = run.with_settings(options.scales, options.image_size)
    if run.has_local_features:
        path = local_model.export_local_model(
            run.model,
            options.output,
            run.config.image,
            options.scales or local_extractor.DELF_SCALES,
            learned,
        )
    else:
        path = saved_model.export_model(
            run.model,
            options.output,
            run.config.image,
            run.config.extraction,
            learned,
        )
    cli.print_line(f"SavedModel: {path}")
    return path


if __name__ == "__main__":
    cli.run(main, ExportOptions)
