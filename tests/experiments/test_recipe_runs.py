"""The tables of recipes and seeds: valid recipes, cells checked by hand."""

import pathlib
import runpy

import numpy as np
import pytest

from agem_tf import config, registry
from agem_tf.config import loading

FOLDER = pathlib.Path(__file__).parents[2] / "experiments"


@pytest.fixture
def script(monkeypatch):
    """Returns a function that loads the globals of a script."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return lambda name: runpy.run_path(str(FOLDER / f"{name}.py"))


def overridden(settings):
    quickstart = loading.load_recipe(FOLDER / "quickstart.py")
    assignments = [f"{name}={value}" for name, value in settings.items()]
    return config.validate(loading.override_recipe(quickstart, assignments))


def test_each_lever_is_another_valid_recipe(script):
    recipes = [
        loading.recipe_to_dict(overridden(settings))
        for settings in script("lever_table")["LEVERS"].values()
    ]
    for number, recipe in enumerate(recipes):
        assert recipe not in recipes[:number]


def test_the_short_training_and_its_rules_are_valid(script):
    table = script("attention_table")
    for backbone, attentions in table["ATTENTIONS"].items():
        for attention in attentions:
            settings = table["SHORT"] | {
                "data.options": table["CLUTTER"],
                "model.backbone": backbone,
                "model.attention": attention,
                "optimizer.rules": table["RULES"][backbone],
            }
            assert overridden(settings).optimizer.learning_rate == 1e-4


def test_every_global_pooling_is_compared(script):
    # "attentive" makes a network of local features.
    others = set(registry.names("pooling")) - {"attentive"}
    assert set(script("pooling_table")["POOLINGS"]) == others


def test_cells_have_the_mean_of_the_runs_over_scored_queries(script):
    runs = script("recipe_runs")
    scores = np.array([[10.0, 30.0, np.nan], [20.0, 60.0, np.nan]])
    assert runs["mean_cell"](scores) == "30.0 ± 14.1"
    assert runs["mean_cell"](scores[:1]) == "20.0"


def test_differences_are_paired_by_query(script):
    """The gain is 5 for each query, so that its interval has no width."""
    others = np.array([[10.0, 90.0, 40.0]])
    scores = np.stack([others[0] + 3, others[0] + 7])
    cell = script("recipe_runs")["difference_cell"](scores, others)
    assert cell == "+5.0 (+5.0, +5.0)"
