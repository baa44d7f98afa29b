"""The files in the directory of a run; readable without TensorFlow.

workdir/
  config.json       the recipe and the fingerprint of its dataset
  checkpoints/      the newest states, to resume from
  best.keras        the model with the best weights so far
  best/             the best models, with training.keep_best
  history.json      one row per validation: per epoch, or more
  steps.csv         one row per training.log_steps steps
  whitening_start/  where a trained whitening layer started
  descriptors/ whitening/ saved_model/ tensorboard/ metrics.json report.html
"""

import dataclasses
import json
import pathlib
from typing import Any

from agem_tf.config import (
    Config,
    default_rules,
    earlier_default_rules,
    loading,
)
from agem_tf.errors import UserError
from agem_tf.files import manifest
from agem_tf.files.atomic_writing import atomic_file
from agem_tf.files.locations import Location, as_location, read_file

BEST_MODEL = "best.keras"
BEST_MODELS = "best"
HISTORY = "history.json"
STEPS = "steps.csv"
RECIPE = "config.json"
WHITENING_START = "whitening_start"

# Beginnings of the names of fields that may differ when a run is resumed: none
# of them affects the steps of the training.
_FREE_FIELDS = (
    "data.directory",
    "data.source",
    "data.test_split",
    "evaluation.",
    "extraction.batch_size",
    "extraction.test.",
    "extraction.whitening",
    "extraction.whitening_shrinkage",
    "name",
    "training.checkpoint_steps",
    "training.epochs",
    "training.keep_best",
    "training.keep_checkpoints",
    "training.log_steps",
    "training.patience",
    "training.steps_per_call",
    "training.validate_steps",
)


def keep_earlier_rules(workdir: pathlib.Path, config: Config) -> Config:
    """Returns the recipe with the default rules of the version that began it.

    A recipe that does not set `optimizer.rules` has the defaults of today. A
    run that was started with the defaults of an earlier version keeps those,
    and so can be resumed.

    Args:
        workdir: Directory of the run, new or not.
        config: The recipe.
    """
    rules = config.optimizer.rules
    if rules != default_rules() or not (workdir / RECIPE).exists():
        return config
    earlier = read_recipe(workdir).optimizer.rules
    if earlier != earlier_default_rules():
        return config
    optimizer = dataclasses.replace(config.optimizer, rules=earlier)
    return dataclasses.replace(config, optimizer=optimizer)


def check_workdir(workdir: pathlib.Path, config: Config) -> None:
    """Checks that a workdir is new, or holds a run of this recipe.

    Raises:
        UserError: It holds another recipe, or more epochs than this one has.
    """
    if not (workdir / RECIPE).exists():
        return
    differing = loading.recipe_differences(
        loading.recipe_to_dict(read_recipe(workdir)),
        loading.recipe_to_dict(config),
    )
    free = set(_FREE_FIELDS)
    if config.optimizer.lasts_the_training:
        free.remove("training.epochs")
    differing = [line for line in differing if not line.startswith(tuple(free))]
    if differing:
        raise UserError(
            f"{workdir} holds a run of another recipe; it differs in "
            f"{', '.join(differing)}. Choose another --workdir or repeat the "
            "recipe."
        )
    if (workdir / HISTORY).exists():
        finished = _count_epochs(workdir / HISTORY)
        if finished > config.training.epochs:
            raise UserError(
                f"{workdir} holds {finished} finished epochs, the recipe has "
                f"{config.training.epochs}; choose another --workdir."
            )


def claim_workdir(workdir: pathlib.Path, config: Config, dataset: str) -> None:
    """Writes the recipe to a workdir, once all that it names can be opened.

    Args:
        workdir: Directory of the run, already checked.
        config: The recipe.
        dataset: Fingerprint of the dataset.

    Raises:
        UserError: The run was started with another dataset.
    """
    path = workdir / RECIPE
    if path.exists():
        if _read_claim(path).get("dataset") != dataset:
            raise UserError(
                f"{workdir} was started with another dataset than the recipe "
                "names now; choose another --workdir."
            )
    claim = {"recipe": loading.recipe_to_dict(config), "dataset": dataset}
    write_json(path, manifest.sealed(claim))


def holds_run(workdir: str | pathlib.Path) -> bool:
    """Whether a run was begun in a workdir, local or remote."""
    return (as_location(workdir, "--workdir") / RECIPE).exists()


def read_recipe(workdir: str | pathlib.Path) -> Config:
    """Returns the recipe of the run in a workdir.

    Raises:
        UserError: The workdir holds no run, or its recipe is unknown or was
            altered.
    """
    path = as_location(workdir, "--workdir") / RECIPE
    if not holds_run(workdir):
        raise UserError(
            f"{workdir} holds no training run; give the --workdir of "
            "agem_tf.train."
        )
    try:
        return loading.recipe_from_dict(_read_claim(path)["recipe"])
    except UserError as error:
        raise UserError(
            f"{path}: {error} If an earlier version of agem_tf wrote the run, "
            "finish it with that version, or train again in another --workdir."
        ) from error


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes JSON under a temporary name and renames it."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")


def _read_claim(path: Location) -> dict[str, Any]:
    claim = _read_json(path)
    if not isinstance(claim, dict) or "recipe" not in claim:
        raise UserError(f"{path} is damaged; choose another --workdir.")
    if not manifest.is_unaltered(claim):
        raise UserError(
            f"{path} was altered after agem_tf wrote it; copy it again, or "
            "train with another recipe in another --workdir."
        )
    return claim


def _count_epochs(path: pathlib.Path) -> int:
    rows = _read_json(path)
    try:
        # Rows within an epoch count for the epochs before it.
        return int(max((row["epoch"] for row in rows), default=0))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{path} is damaged; remove it.") from error


def _read_json(path: Location) -> Any:
    try:
        return json.loads(read_file(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}); remove it.") from error
