"""Other datasets are scored with their own settings."""

import json

import numpy as np
import pytest

from agem_tf import evaluate as evaluate_command
from agem_tf import extract, whiten
from agem_tf.config import BenchmarkConfig
from agem_tf.errors import UserError
from agem_tf.training import job
from agem_tf.training.benchmarks import open_benchmarks


@pytest.fixture
def recipe(make_recipe):
    """A shallow network of one training step per epoch."""
    recipe = make_recipe()
    recipe.model.backbone, recipe.model.feature_map = "vgg16", "C2"
    recipe.model.attention = "none"
    recipe.image.size = 32
    recipe.training.epochs = 1
    recipe.training.batch_tuples = 15
    data = recipe.data.directory
    recipe.evaluation.benchmarks = [
        BenchmarkConfig(data, "same", whitening="learned", every=1),
        BenchmarkConfig(
            data, "other", "test", 48, (1.0, 0.7), "pca", "qe:2", 2
        ),
    ]
    return recipe


def test_benchmarks_have_settings_and_epochs_of_their_own(recipe, tmp_path):
    job.run_recipe(recipe, tmp_path)
    recipe.training.epochs = 3  # A resumed run keeps what it has scored.
    result = job.run_recipe(recipe, tmp_path)

    history = json.loads((tmp_path / "history.json").read_text())
    scored = [{key for key in row if "/map" in key} for row in history]
    same, other = "same/map", "other/map"
    assert scored == [{same}, {same, other}, {same}]
    trained = result.evaluations["trained, learned whitening"]
    benchmarks = result.benchmarks
    np.testing.assert_array_equal(
        benchmarks["same"]["trained"].ranks, trained.ranks
    )
    best = max(history, key=lambda row: (row["validation_map"], row["epoch"]))
    assert best[same] == trained.scores.medium.mean_average_precision

    # The recipe's own whitening has described the same photos.
    kept = tmp_path / "descriptors" / "trained" / "benchmarks"
    assert not (kept / "same" / "train").exists()
    assert (kept / "other" / "train").is_dir()

    settings = {
        "workdir": str(tmp_path),
        "scales": (1.0, 0.7),
        "image_size": 48,
    }
    for split in ("train", "test"):
        extract.main(
            extract.ExtractOptions(
                split=split, output=str(tmp_path / split), **settings
            )
        )
    whiten.main(
        whiten.WhitenOptions(
            descriptors=str(tmp_path / "train"),
            method="pca",
            output=str(tmp_path / "pca"),
        )
    )
    expected = evaluate_command.main(
        evaluate_command.EvaluateOptions(
            descriptors=str(tmp_path / "test"),
            data_dir=recipe.data.directory,
            whitening=str(tmp_path / "pca"),
            rerank=["qe:2"],
        )
    )
    np.testing.assert_array_equal(
        benchmarks["other"]["trained"].ranks, expected.ranks
    )

    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert set(metrics["benchmarks"]["other"]) == {"untrained", "trained"}
    assert "Benchmark other" in result.describe()
    report = result.report.read_text()
    assert (
        "48 pixels; scales 1, 0.7; pca whitening; re-ranked by qe:2" in report
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "same"}, "names that differ"),
        # Its descriptors would replace those of the recipe's own test.
        ({"name": ".."}, "names that differ"),
        ({"name": "a/b"}, "without '/'"),
        ({"size": 8}, "at least 32, not 8"),
        ({"every": -1}, r"benchmarks\[1\].every must be at least 0"),
        ({"whitening": "zca"}, r"benchmarks\[1\].whitening must be one of"),
        ({"rerank": "verify"}, "rerank of a benchmark has verify"),
        ({"split": "tset"}, "no split 'tset'"),
        ({"directory": "gone"}, "gone"),
    ],
)
def test_a_benchmark_that_cannot_be_scored_says_why(
    recipe, tmp_path, change, message
):
    for field, value in change.items():
        setattr(recipe.evaluation.benchmarks[1], field, value)
    with pytest.raises(UserError, match=message):
        job.run_recipe(recipe, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_benchmark_is_called_like_its_directory(recipe):
    recipe.evaluation.benchmarks = [BenchmarkConfig(recipe.data.directory)]
    (benchmark,) = open_benchmarks(recipe)
    assert benchmark.settings.title == "data"
