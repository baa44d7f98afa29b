"""The command passes its options to the run."""

import types

import pytest

from agem_tf import config, train
from agem_tf.errors import UserError


@pytest.fixture
def calls(monkeypatch):
    """Arguments with which runs would have been started."""
    found = []

    def run_recipe(*arguments):
        found.append(arguments)
        return types.SimpleNamespace(describe=lambda: "scores")

    monkeypatch.setattr(
        train, "job", types.SimpleNamespace(run_recipe=run_recipe)
    )
    return found


def test_the_workdir_has_the_name_of_the_recipe(calls, capsys):
    recipe = config.Config(name="mine")
    train.main(train.TrainOptions(config=recipe))
    train.main(train.TrainOptions(config=recipe, workdir="runs/other"))
    assert [arguments[1] for arguments in calls] == ["runs/mine", "runs/other"]
    assert capsys.readouterr().out == "scores\nscores\n"


def test_overrides_and_devices_are_passed_on(calls):
    train.main(
        train.TrainOptions(
            set=("training.epochs=7",),
            strategy="one",
            skip_corrupt=True,
            profile_steps=range(3, 5),
        )
    )
    ((recipe, workdir, *rest),) = calls
    assert (recipe.training.epochs, workdir) == (7, "runs/quickstart")
    assert rest == ["one", "", True, range(3, 5)]


def test_missing_devices_are_reported_before_anything_runs(calls):
    with pytest.raises(UserError, match="--tpu=local goes with"):
        train.main(train.TrainOptions(strategy="one", tpu="local"))
    assert not calls


def test_a_run_of_a_recipe_that_is_refused_today_says_how_to_go_on(
    calls, tmp_path
):
    options = train.TrainOptions(
        set=("image.size=-1",), workdir=str(tmp_path / "run")
    )
    with pytest.raises(UserError, match="image.size") as refused:
        train.main(options)
    assert "earlier version" not in str(refused.value)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    with pytest.raises(UserError, match="image.size.*earlier version"):
        train.main(options)
