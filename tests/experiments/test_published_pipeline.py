"""The published pipeline, command by command as the document has it."""

import importlib
import json
import pathlib
import pickle
import runpy

import numpy as np
import PIL.Image
import pytest

import agem_tf
from agem_tf import cli

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


def _write_roxford(root):
    """Revisited Oxford in the layout of its download: two queries."""
    rng = np.random.default_rng(0)
    database = [f"hall_{i:06}" for i in range(6)]
    queries = ["hall_000100", "hall_000101"]
    (root / "jpg").mkdir(parents=True)
    for name in database + queries:
        pixels = rng.integers(0, 255, (40, 56, 3), np.uint8)
        PIL.Image.fromarray(pixels).save(root / "jpg" / f"{name}.jpg")
    truth = {"bbx": [4, 4, 50, 36], "easy": [0], "hard": [1], "junk": [3]}
    content = {"imlist": database, "qimlist": queries, "gnd": [truth, truth]}
    return content


@pytest.fixture
def downloads(sfm_download, tmp_path, monkeypatch):
    """The working directory of the commands, with what they start from."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "downloads"
    content = _write_roxford(root / "roxford5k")
    pickled = pickle.dumps(content, protocol=2)
    (root / "roxford5k" / "gnd_roxford5k.pkl").write_bytes(pickled)
    (root / "retrieval-SfM-120k").symlink_to(sfm_download)
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    return tmp_path


@pytest.mark.filterwarnings("ignore:.*not the published file")
def test_every_command_runs_after_the_one_before(
    downloads, documented_commands
):
    tables = runpy.run_path(str(ROOT / "docs" / "make_tables.py"))
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
        default, alternatives = tables["options_of"](module.split(".")[1])
        options = cli.options_from_arguments(
            default, alternatives, [module, *arguments]
        )
        importlib.import_module(module).main(options)
    metrics = json.loads((downloads / "scores/metrics.json").read_text())
    assert metrics["queries"] == 2
    assert metrics["provenance"]["image"]["size"] == 1024
    assert metrics["provenance"]["scales"] == [1.0, 0.7071, 0.5]
    assert metrics["provenance"]["whitening"]
    assert 0 < metrics["scores"]["medium"]["map"] <= 1
