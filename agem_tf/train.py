"""Trains a recipe, scores it on unseen landmarks, exports it, and reports.

Without arguments this is the quickstart: the embedded synthetic landmarks, a
pretrained EfficientNet-lite0 with CBAM and GeM. The same command goes on where
an interrupted run stopped.
"""

from __future__ import annotations

from absl import app

from agem_tf import cli, config, recipes

job = cli.lazy("agem_tf.training.job")

_FLAGS = cli.Flags()
_CONFIG = _FLAGS.string(
    "config", None, "Recipe file with get_config(); default: the quickstart."
)
_WORKDIR = _FLAGS.string(
    "workdir", "runs/quickstart", "Everything the run writes goes here."
)
_SET = _FLAGS.multi_string(
    "set", [], "Override, such as model.pooling=mac; may be repeated."
)
_STRATEGY = _FLAGS.enum(
    "strategy", "auto", config.STRATEGIES, "Devices to run on."
)


def main(
    recipe: config.Config, workdir: str, strategy: str = "auto"
) -> job.JobResult:
    """Runs or resumes a recipe.

    Args:
        recipe: see `agem_tf.config`.
        workdir: where its files go.
        strategy: "auto", "one" or "mirrored".

    Returns:
        Scores before and after, and the paths of what was written.
    """
    return job.run(recipe, workdir, strategy)


def _run() -> None:
    recipe = recipes.load(_CONFIG.value) if _CONFIG.value else config.Config()
    config.validate(recipes.override(recipe, _SET.value))
    result = main(recipe, _WORKDIR.value, _STRATEGY.value)
    print(result.describe())


if __name__ == "__main__":
    app.run(cli.command(_run), flags_parser=_FLAGS.parse)
