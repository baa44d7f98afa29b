"""Runs whose data, workdir and results are in an object store."""

import copy
import pathlib

import numpy as np
import pytest
from etils import epath

from agem_tf import evaluate, export, extract
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.errors import UserError
from agem_tf.files.remote_directories import upload
from agem_tf.training import job, networks, runs

BUCKET = "gs://bucket"


@pytest.fixture
def remote_recipe(recipe, places, object_store):
    """A recipe whose photos are in the bucket."""
    for path in pathlib.Path(places).rglob("*"):
        if path.is_file():
            upload(path, f"{BUCKET}/data/{path.relative_to(places)}")
    recipe.data.directory = f"{BUCKET}/data"
    recipe.extraction.whitening = "none"
    recipe.training.checkpoint_steps = 1
    recipe.model.backbone, recipe.model.feature_map = "vgg16", "C2"
    recipe.model.attention, recipe.image.size = "none", 32
    return recipe


def weights(workdir):
    return runs.load_best_model(workdir).get_weights()


def test_a_killed_remote_run_resumes_elsewhere(
    remote_recipe, places, tmp_path, monkeypatch
):
    undisturbed = copy.deepcopy(remote_recipe)
    undisturbed.data.directory = str(places)
    job.run_recipe(undisturbed, tmp_path / "local")

    save, saves = runs.save_model, []

    def die_at_the_second_best(model, path):
        saves.append(path)
        if len(saves) == 1:
            raise KeyboardInterrupt
        save(model, path)

    with monkeypatch.context() as patch:
        patch.setattr(
            "agem_tf.training.callbacks.save_model", die_at_the_second_best
        )
        with pytest.raises(KeyboardInterrupt):
            job.run_recipe(remote_recipe, f"{BUCKET}/runs/mine")
    assert not pathlib.Path(saves[0]).parent.exists()
    result = job.run_recipe(remote_recipe, f"{BUCKET}/runs/mine")
    for ours, theirs in zip(
        weights(f"{BUCKET}/runs/mine"), weights(tmp_path / "local"), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert str(result.report) == f"{BUCKET}/runs/mine/report.html"
    assert "<html" in result.report.read_text()
    assert (result.saved_model / "saved_model.pb").exists()
    written = {p.name for p in epath.Path(f"{BUCKET}/runs/mine").iterdir()}
    assert {"config.json", "history.json", "metrics.json"} <= written
    remote_recipe.image.size = 48
    with pytest.raises(UserError, match="^gs://bucket/runs/mine holds a run"):
        job.run_recipe(remote_recipe, f"{BUCKET}/runs/mine")


def test_the_other_commands_read_and_write_there(
    remote_recipe, tmp_path, capsys
):
    remote_recipe.training.epochs = 1
    run, output = f"{BUCKET}/run", f"{BUCKET}/descriptors"
    job.run_recipe(remote_recipe, run)
    written = extract.main(extract.ExtractOptions(workdir=run, output=output))
    split = PreparedDataset(f"{BUCKET}/data").split("test")
    assert DescriptorSet.load(output).names == split.names
    remote_recipe.model.weights = run
    started = networks.create_model(remote_recipe).get_weights()
    for ours, theirs in zip(started, weights(run), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    again = extract.main(extract.ExtractOptions(workdir=run, output=output))
    np.testing.assert_array_equal(again.descriptors, written.descriptors)
    here, there = (
        evaluate.main(
            evaluate.EvaluateOptions(
                descriptors=output, data_dir=f"{BUCKET}/data", output=place
            )
        )
        for place in (str(tmp_path / "scores"), f"{BUCKET}/scores")
    )
    scores = [
        each.scores.medium.mean_average_precision for each in (here, there)
    ]
    assert scores[0] == scores[1]
    assert epath.Path(f"{BUCKET}/scores/report.html").exists()
    models = f"{BUCKET}/models"
    path = export.main(
        export.ExportOptions(workdir=run, output=models, version=2)
    )
    assert (path / "saved_model.pb").exists()
    assert f"SavedModel: {models}/2\n" in capsys.readouterr().out


def test_several_workers_need_a_file_system(
    remote_recipe, monkeypatch, tmp_path
):
    monkeypatch.setenv("TF_CONFIG", "{}")
    with pytest.raises(UserError, match="gs://bucket/run is remote.*workers"):
        job.run_recipe(remote_recipe, f"{BUCKET}/run")
