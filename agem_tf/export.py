r"""Export a trained model as a SavedModel that does not need this package.

    python -m agem_tf.export --workdir=runs/quickstart --output=model \
        --whitening=runs/quickstart/whitening

A run with attentive pooling (DELF) becomes a SavedModel of local features, with
the signatures of the published models; --kind=local does the same with any run,
and --kind=joint exports both kinds of a run of the joint model (DELG).

--version=1 writes output/1, which TensorFlow Serving finds in output. --preset
writes a directory that `agem_tf.load` opens as a Keras model.
"""

from __future__ import annotations

import os
import pathlib

from agem_tf import cli
from agem_tf.config.shared_options import ScaleOptions
from agem_tf.errors import UserError

linear_whitening = cli.lazy("agem_tf.descriptors.linear_whitening")
local_extractor = cli.lazy("agem_tf.extraction.local_extractor")
local_model = cli.lazy("agem_tf.saved_models.local_model")
presets = cli.lazy("agem_tf.models.presets")
strategies = cli.lazy("agem_tf.distribution.strategies")
run_files = cli.lazy("agem_tf.training.workdir")
runs = cli.lazy("agem_tf.training.runs")
saved_model = cli.lazy("agem_tf.saved_models.retrieval_model")


@cli.options
class ExportOptions(ScaleOptions):
    """Options of an export."""

    workdir: str = cli.required("Directory of the training run.")
    output: str = cli.required(
        "Directory to write the SavedModel or preset to."
    )
    whitening: str | None = cli.option(
        None,
        "Whitening to include; with --kind=joint, that of the local features.",
    )
    kind: str | None = cli.option(
        None,
        "What the SavedModel computes: local features, global descriptors, or "
        "joint for both, where --scales are those of the global descriptors. "
        "Default: local with attentive pooling, else global.",
        choices=("global", "joint", "local"),
    )
    version: int | None = cli.option(
        None,
        "Version for TensorFlow Serving: the SavedModel is written to "
        "output/version, in one step.",
        minimum=1,
    )
    preset: bool = cli.option(
        False, "Write a preset for agem_tf.load instead of a SavedModel."
    )


def main(options: ExportOptions) -> pathlib.Path:
    """Writes a SavedModel or preset and returns its path."""
    if options.preset and (
        options.whitening or options.version or options.kind
    ):
        raise UserError(
            "A preset holds the network alone; omit --whitening, --version and "
            "--kind, or omit --preset."
        )
    # A wrong path is reported before TensorFlow's import.
    recipe = run_files.read_recipe(options.workdir)
    if options.kind == "joint" and not recipe.model.local_dimension:
        raise UserError(
            f"{options.workdir} has no local branch beside its global "
            "descriptor (model.local_dimension); export --kind=global or local."
        )
    learned = None
    if options.whitening:
        learned = linear_whitening.LinearWhitening.load(
            options.whitening, verify=True
        )
    run = runs.open_run(options.workdir, strategies.create_strategy("one"))
    run = run.with_settings(options.scales, options.image_size)
    output = options.output
    if options.version:
        # Not by pathlib, which makes one slash of the two of a URL.
        output = os.path.join(output, str(options.version))
    if options.preset:
        path = presets.write_preset(
            run.model, output, run.config.image, run.config.extraction
        )
        cli.print_line(f"Preset: {output}")
        return path
    kind = options.kind or runs.kind_of(recipe.model)
    if kind in ("local", "joint"):
        scales = options.scales if kind == "local" else None
        path = local_model.export_local_model(
            run.model,
            output,
            run.config.image,
            scales or local_extractor.DELF_SCALES,
            learned,
            run.config.extraction if kind == "joint" else None,
        )
    else:
        path = saved_model.export_model(
            run.model,
            output,
            run.config.image,
            run.config.extraction,
            learned,
        )
    cli.print_line(f"SavedModel: {output}")
    return path


if __name__ == "__main__":
    cli.run(main, ExportOptions)
