"""The published pipeline, command by command as the document has it."""

import json
import pathlib

import pytest

import agem_tf

ROOT = pathlib.Path(agem_tf.__file__).parents[1]
# A network and a training of the same parts, in seconds.
SHRUNK = {
    "model.backbone": "resnet18_torch",
    "model.weights": "None",
    "model.feature_map": "C2",
    "mining.num_queries": "6",
    "mining.pool_size": "20",
    "mining.num_negatives": "2",
    "training.epochs": "1",
    "training.batch_tuples": "2",
    "extraction.batch_size": "2",
}


@pytest.fixture
def downloads(sfm_download, roxford_download, tmp_path, monkeypatch):
    """The working directory of the commands, with what they start from."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads/retrieval-SfM-120k").symlink_to(sfm_download)
    (tmp_path / "downloads/roxford5k").symlink_to(roxford_download)
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    return tmp_path


@pytest.mark.filterwarnings("ignore:.*not the published file")
def test_every_command_runs_after_the_one_before(
    downloads, documented_commands, run_command
):
    commands = documented_commands(
        ROOT / "experiments" / "README.md", "Published recipes"
    )
    assert len(commands) == 8
    for module, *arguments in commands:
        if module == "agem_tf.train":
            arguments += [f"--set={k}={v}" for k, v in SHRUNK.items()]
        if module == "agem_tf.prepare":
            arguments = [a for a in arguments if "--processes" not in a]
        if module == "agem_tf.evaluate":
            arguments.append("--output=scores")
        run_command(module, arguments)
    metrics = json.loads((downloads / "scores/metrics.json").read_text())
    assert metrics["queries"] == 2
    assert metrics["provenance"]["image"]["size"] == 1024
    assert metrics["provenance"]["scales"] == [1.0, 0.7071, 0.5]
    assert metrics["provenance"]["whitening"]
    assert 0 < metrics["scores"]["medium"]["map"] <= 1
