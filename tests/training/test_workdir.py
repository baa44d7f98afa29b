"""The files of a run are checked before they are trusted."""

import json

import pytest

from agem_tf.config import Config
from agem_tf.errors import UserError
from agem_tf.training import workdir as run_files


@pytest.fixture
def workdir(tmp_path):
    run_files.claim_workdir(tmp_path, Config(name="mine"), "fingerprint")
    return tmp_path


def test_a_recipe_is_read_as_it_was_written(workdir):
    assert run_files.read_recipe(workdir) == Config(name="mine")
    run_files.claim_workdir(workdir, Config(name="mine"), "fingerprint")


def test_an_altered_recipe_is_refused(workdir):
    path = workdir / "config.json"
    path.write_text(path.read_text().replace("0.85", "0.84"))
    for use in (
        lambda: run_files.read_recipe(workdir),
        lambda: run_files.check_workdir(workdir, Config()),
    ):
        with pytest.raises(UserError, match="config.json was altered"):
            use()


def test_a_recipe_of_an_earlier_version_has_no_checksum(workdir):
    path = workdir / "config.json"
    claim = json.loads(path.read_text())
    del claim["checksum"]
    path.write_text(json.dumps(claim))
    assert run_files.read_recipe(workdir).name == "mine"


@pytest.mark.parametrize("content", ["3", "[{}]", '"rows"', "[", "null"])
def test_a_damaged_history_is_refused(workdir, content):
    (workdir / "history.json").write_text(content)
    with pytest.raises(UserError, match="history.json is"):
        run_files.check_workdir(workdir, Config(name="mine"))


def test_a_run_with_more_epochs_than_the_recipe_is_refused(workdir):
    config = Config(name="mine")
    rows = [{"epoch": config.training.epochs + 0.5}]
    (workdir / "history.json").write_text(json.dumps(rows))
    run_files.check_workdir(workdir, config)
    rows.append({"epoch": config.training.epochs + 1})
    (workdir / "history.json").write_text(json.dumps(rows))
    with pytest.raises(UserError, match="finished epochs"):
        run_files.check_workdir(workdir, config)


def test_a_recipe_that_is_refused_today_says_how_to_go_on(workdir):
    path = workdir / "config.json"
    claim = json.loads(path.read_text())
    del claim["checksum"]
    claim["recipe"]["image"]["colour"] = "sepia"
    path.write_text(json.dumps(claim))
    with pytest.raises(UserError, match="finish it with that version, or"):
        run_files.check_workdir(workdir, Config(name="mine"))
