"""Trains a recipe, scores it on unseen landmarks, exports it, and reports.

Without arguments this is the quickstart: the embedded synthetic landmarks, a
pretrained EfficientNet-lite0 with CBAM and GeM. The same command goes on where
an interrupted run stopped, and ends with the weights of an undisturbed one.
SIGTERM saves and ends with status 75.
"""

from __future__ import annotations

from absl import app

from agem_tf import cli, config
from agem_tf.distribution import preemption

availability = cli.lazy("agem_tf.distribution.preflight")
job = cli.lazy("agem_tf.training.job")

_FLAGS = cli.Flags()
_RECIPE = _FLAGS.recipe()
_WORKDIR = _FLAGS.string(
    "workdir", "runs/quickstart", "Everything the run writes goes here."
)
_STRATEGY = _FLAGS.enum(
    "strategy", "auto", config.STRATEGIES, "Devices to run on."
)
_TPU = _FLAGS.string(
    "tpu", "", "local (the default), NAME or grpc://HOST:PORT."
)
_SKIP_CORRUPT = _FLAGS.bool(
    "skip_corrupt", False, "Do without photos that can't be read."
)
_PROFILE_STEPS = _FLAGS.range(
    "profile_steps", "Trace these steps of the run for TensorBoard."
)


def main(
    recipe: config.Config,
    workdir: str,
    strategy: str = "auto",
    tpu: str = "",
    skip_corrupt: bool = False,
    profile_steps: range = range(0),
) -> job.JobResult:
    """Runs or resumes a recipe.

    Args:
        recipe: see `agem_tf.config`.
        workdir: where its files go.
        strategy, tpu: see `agem_tf.distribution.strategies`.
        skip_corrupt: leave out, count and report photos that can't be read.
        profile_steps: steps to trace, counted over all epochs from 0.

    Returns:
        Scores before and after, and the paths of what was written.
    """
    availability.check_devices(strategy, tpu)
    return job.run_recipe(
        recipe, workdir, strategy, tpu, skip_corrupt, profile_steps
    )


def _run() -> None:
    preemption.listen()
    result = main(
        _RECIPE(),
        _WORKDIR.value,
        _STRATEGY.value,
        _TPU.value,
        _SKIP_CORRUPT.value,
        _PROFILE_STEPS.value or range(0),
    )
    print(result.describe())


if __name__ == "__main__":
    app.run(cli.command(_run), flags_parser=_FLAGS.parse)
