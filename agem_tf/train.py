"""Train a recipe, score it on held-out landmarks, export it, and report.

Without arguments this is the quickstart: the embedded synthetic landmarks, an
EfficientNet-lite0 pretrained on ImageNet, CBAM attention and GeM pooling.

    python -m agem_tf.train --config=experiments/quickstart.py

The same command resumes an interrupted run and ends with the weights of an
undisturbed one, on a GPU up to rounding unless the recipe sets
training.deterministic. SIGTERM saves a checkpoint and ends with status 75.
"""

from __future__ import annotations

from agem_tf import cli
from agem_tf.config.shared_options import DeviceOptions, RecipeOptions
from agem_tf.distribution import preemption
from agem_tf.errors import UserError

preflight = cli.lazy("agem_tf.distribution.preflight")
job = cli.lazy("agem_tf.training.job")
run_files = cli.lazy("agem_tf.training.workdir")


@cli.options
class TrainOptions(RecipeOptions, DeviceOptions):
    """Options of a training run."""

    workdir: str | None = cli.option(
        None,
        "Directory for everything the run writes; default: runs/NAME, by the "
        "recipe's name.",
    )
    skip_corrupt: bool = cli.option(
        False, "Leave out photos that can't be read, and report them."
    )
    profile_steps: range = cli.option(
        range(0),
        "Steps of the run to trace for TensorBoard, counted from 0; END is "
        "excluded.",
    )


def main(options: TrainOptions) -> job.JobResult:
    """Runs or resumes a recipe and prints the scores before and after.

    Returns:
        The scores, and the paths of what was written.
    """
    try:
        recipe = options.recipe()
    except UserError as error:
        if options.workdir and run_files.holds_run(options.workdir):
            raise UserError(
                f"{error} If an earlier version of agem_tf began the run in "
                f"{options.workdir} with this recipe, finish it with that "
                "version, or correct the recipe and give another --workdir."
            ) from error
        raise
    preflight.check_devices(options.strategy, options.tpu)
    result = job.run_recipe(
        recipe,
        options.workdir or f"runs/{recipe.name}",
        options.strategy,
        options.tpu,
        options.skip_corrupt,
        options.profile_steps,
    )
    cli.print_line(result.describe())
    return result


if __name__ == "__main__":
    with preemption.listening():
        cli.run(main, TrainOptions)
