"""DELF in two stages: classes for the backbone, then the attention."""

import importlib.metadata
import json

import keras
import numpy as np
import pytest

from agem_tf import config, extract, whiten
from agem_tf.compilation.lowering import RecipePrograms
from agem_tf.config import loading
from agem_tf.descriptors.local_features import LocalFeatureSet
from agem_tf.distribution import preemption
from agem_tf.errors import UserError
from agem_tf.training import job
from agem_tf.training.workdir import BEST_MODEL


def first_stage(recipe):
    """Classes, by the mean of a shallow network's map."""
    recipe.model.backbone = "vgg16"
    recipe.model.feature_map = "C2"
    recipe.model.attention = "none"
    recipe.model.pooling = "spoc"
    recipe.image.size = 32
    recipe.loss = config.LossConfig("softmax", {"scale": 8.0})
    recipe.training.epochs = 1
    recipe.extraction.whitening = "none"
    recipe.data.test_split = ""
    return recipe


def second_stage(recipe, start):
    """The attention alone, at random scales."""
    recipe = first_stage(recipe)
    recipe.name = "delf"
    recipe.model.weights = str(start)
    recipe.model.pooling = "attentive"
    recipe.model.pooling_options = {"filters": 16}
    recipe.model.batch_norm = "frozen"
    recipe.optimizer.rules = [
        config.OptimizerRule("pooling/*", weight_decay=1e-4),
        config.OptimizerRule("classifier/*", 5.0),
        config.OptimizerRule("*", 0.0),
    ]
    recipe.training.rescale = (0.5, 0.7071, 1.0)
    recipe.training.epochs = 2
    recipe.training.checkpoint_steps = 1
    recipe.training.steps_per_call = 2
    return recipe


@pytest.fixture(scope="module")
def stages(make_recipe, tmp_path_factory):
    root = tmp_path_factory.mktemp("delf")
    job.run_recipe(first_stage(make_recipe()), root / "first")
    recipe = second_stage(make_recipe(), root / "first")
    job.run_recipe(recipe, root / "second")
    return root


def weights_of(workdir):
    model = keras.saving.load_model(workdir / BEST_MODEL, compile=False)
    return {weight.path: weight.numpy() for weight in model.weights}


def losses(workdir):
    rows = json.loads((workdir / "history.json").read_text())
    return [row["train_loss"] for row in rows]


def test_the_second_stage_starts_from_the_first_and_learns_attention(stages):
    first, second = (weights_of(stages / each) for each in ("first", "second"))
    assert {path for path in second if path not in first} == {
        path for path in second if path.startswith("pooling/attention/")
    }
    for path, value in first.items():
        np.testing.assert_array_equal(second[path], value, err_msg=path)
    moved = second["pooling/attention/normalization/moving_mean"]
    assert np.abs(moved).max() > 0
    # It starts at 0.
    assert np.abs(second["pooling/attention/scores/bias"]).max() > 0
    assert np.isfinite(losses(stages / "second")).all()


def test_a_stopped_run_ends_with_the_bits_of_an_undisturbed_one(
    stages, make_recipe, tmp_path, run_until_sigterm
):
    """So a resumed step draws the scale that it would have had."""
    recipe = second_stage(make_recipe(), stages / "first")
    assert run_until_sigterm(recipe, tmp_path) == preemption.STATUS
    job.run_recipe(recipe, tmp_path)
    assert losses(tmp_path) == losses(stages / "second")
    ours, theirs = weights_of(tmp_path), weights_of(stages / "second")
    for path, value in ours.items():
        np.testing.assert_array_equal(value, theirs[path], err_msg=path)


@pytest.mark.skipif(
    "tensorflow-tpu"
    in {each.name for each in importlib.metadata.distributions()},
    reason="TensorFlow for TPUs lowers on a TPU only",
)
def test_a_tpu_gets_a_static_program_for_each_scale(stages, make_recipe):
    recipe = second_stage(make_recipe(), stages / "first")
    programs = RecipePrograms(recipe).for_replicas(2)
    assert [program.name for program in programs] == [
        "training 32x32 at 0.5",
        "training 32x32 at 0.7071",
        "training 32x32",
        "extraction 32x32",
    ]
    assert "tensor<2x16x16x3xf32>" in programs[0].lower(2)


def options(stages, output, **changes):
    return extract.ExtractOptions(
        workdir=str(stages / "second"),
        output=str(output),
        split="train",
        scales=(0.5, 1.0),
        strategy="one",
        **changes,
    )


def test_local_features_are_extracted_and_reduced(stages, tmp_path, capsys):
    found = extract.main(options(stages, tmp_path / "train", max_features=9))
    assert len(found) == 15 and found.dimension == 256
    photo = found[found.names[0]]
    assert len(photo) == 9 and (np.diff(photo.scores) <= 0).all()
    height, width = photo.size
    assert sorted((height, width)) == [40, 52]
    assert (photo.keypoints >= -0.5).all()
    assert (photo.keypoints <= [width, height]).all()
    whiten.main(
        whiten.WhitenOptions(
            descriptors=str(tmp_path / "train"),
            method="pca",
            power=0.0,
            dimension=5,
            output=str(tmp_path / "pca"),
        )
    )
    reduced = extract.main(
        options(
            stages,
            tmp_path / "reduced",
            max_features=9,
            whitening=str(tmp_path / "pca"),
        )
    )
    assert reduced.dimension == 5
    np.testing.assert_allclose(
        np.linalg.norm(reduced[found.names[0]].descriptors, axis=1),
        1,
        atol=1e-3,
    )
    nothing = options(stages, tmp_path / "none", score_threshold=1e6)
    assert extract.main(nothing).features_per_photo == 0
    assert "15 photo(s) without a feature" in capsys.readouterr().out
    # The second time, the finished set is kept; of other settings, replaced.
    again = extract.main(options(stages, tmp_path / "train", max_features=9))
    assert isinstance(again, LocalFeatureSet) and again.names == found.names


@pytest.mark.parametrize("kind", ["global", "local"])
def test_shards_join_to_the_files_of_one_process(
    stages, kind, tmp_path, monkeypatch
):
    """The shard of a lost worker is extracted by the process that joins."""
    monkeypatch.setattr("agem_tf.extraction.local_feature_writing.UNIT", 4)
    parts = tmp_path / "joined.shards"

    def extracted(output, shard=None):
        given = options(stages, tmp_path / output, kind=kind, shard=shard)
        return extract.main(given)

    whole = extracted("whole")
    for shard in ("1/3", "3/3"):
        assert 0 < len(extracted("joined", shard).names) < len(whole.names)
    assert len(list(parts.iterdir())) == 2
    assert extracted("joined").names == whole.names
    assert not parts.exists()
    for file in (tmp_path / "whole").iterdir():
        same = tmp_path / "joined" / file.name
        assert file.name == "manifest.json" or (
            same.read_bytes() == file.read_bytes()
        )
    with pytest.raises(UserError, match="give fewer shards"):
        extracted("joined", "2/99")


def test_options_of_local_features_need_a_run_that_has_them(stages, tmp_path):
    wrong = extract.ExtractOptions(
        workdir=str(stages / "first"),
        output=str(tmp_path / "x"),
        split="train",
        max_features=9,
        strategy="one",
    )
    with pytest.raises(UserError, match="--max_features is for local"):
        extract.main(wrong)


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["loss.name=contrastive"], "learns its scores from classes"),
        (["image.resize=aspect"], "photos of one shape"),
        (["training.rescale=(0.5, 0.0)"], "training.rescale"),
    ],
)
def test_a_recipe_that_cannot_train_attention_says_why(
    make_recipe, assignments, message
):
    recipe = second_stage(make_recipe(), "")
    with pytest.raises(UserError, match=message):
        config.validate(loading.override_recipe(recipe, assignments))


def test_a_run_of_another_backbone_is_no_start(stages, make_recipe, tmp_path):
    recipe = second_stage(make_recipe(), stages / "first")
    recipe.model.backbone = "vgg19"
    with pytest.raises(UserError, match="a network of vgg16"):
        job.run_recipe(recipe, tmp_path)
