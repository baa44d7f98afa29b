"""The joint model (DELG): one training of a global and a local branch."""

import dataclasses
import importlib.metadata
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from agem_tf import config, export, extract
from agem_tf.compilation.lowering import RecipePrograms
from agem_tf.config import loading
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.errors import UserError
from agem_tf.training import job, networks
from agem_tf.training.optimizers import RuleOptimizer
from agem_tf.training.step import TrainingStep
from agem_tf.training.tasks import create_task
from agem_tf.training.workdir import BEST_MODEL


def joint_recipe(recipe):
    """GeM of one map of a shallow network and a branch at an earlier one."""
    recipe.name = "delg"
    recipe.model.backbone = "vgg16"
    recipe.model.feature_map, recipe.model.local_map = "C3", "C2"
    recipe.model.attention = "none"
    recipe.model.local_dimension = 6
    recipe.model.local_options = {"filters": 8}
    recipe.image = config.ImageConfig(size=32)
    recipe.loss = config.LossConfig("arcface", {"margin": 0.1, "scale": 8.0})
    # Features of a network without batch normalization grow in training.
    recipe.optimizer.rules = [
        config.OptimizerRule("local_*"),
        config.OptimizerRule("classifier/*"),
        config.OptimizerRule("*", 0.0),
    ]
    recipe.training.epochs = 2
    recipe.training.checkpoint_steps = 0
    recipe.extraction.whitening = "none"
    recipe.data.test_split = ""
    return recipe


@pytest.fixture(scope="module")
def run(make_recipe, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("delg")
    job.run_recipe(joint_recipe(make_recipe()), workdir)
    return workdir


def test_a_run_trains_both_branches(run):
    rows = json.loads((run / "history.json").read_text())
    losses = [row["train_loss"] for row in rows]
    assert len(losses) == 2 and np.isfinite(losses).all()
    model = keras.saving.load_model(run / BEST_MODEL, compile=False)
    values = {weight.path: weight.numpy() for weight in model.weights}
    for name in ("attention/scores", "encoder", "decoder"):
        # Biases start at 0.
        assert np.abs(values[f"local_branch/{name}/bias"]).max() > 0


def test_both_kinds_are_extracted(run, tmp_path):
    def options(name, **changes):
        return extract.ExtractOptions(
            workdir=str(run),
            output=str(tmp_path / name),
            split="train",
            strategy="one",
            **changes,
        )

    descriptors = extract.main(options("global"))
    assert descriptors.descriptors.shape == (15, 512)
    features = extract.main(
        options("local", kind="local", scales=(1.0,), max_features=9)
    )
    photo = features[features.names[0]]
    assert (len(features), features.dimension, len(photo)) == (15, 6, 9)
    assert (np.diff(photo.scores) <= 0).all()


def test_local_features_of_a_folder(run, places, tmp_path):
    def options(kind):
        return extract.ExtractOptions(
            workdir=str(run),
            output=str(tmp_path / "folder"),
            photos=str(places.parent / "photos" / "place00"),
            kind=kind,
            scales=(1.0,),
            max_features=5,
        )

    features = extract.main(options("local"))
    assert features.names == ["0.png", "1.png", "2.png"]
    assert features["0.png"].size == (52, 40) and len(features["0.png"]) == 5
    with pytest.raises(UserError, match=r"agem_tf\.index"):
        extract.main(options("global"))


def test_both_kinds_are_exported(run, tmp_path):
    path = export.main(
        export.ExportOptions(
            workdir=str(run), output=str(tmp_path / "delg"), kind="joint"
        )
    )
    signatures = tf.saved_model.load(str(path)).signatures
    assert signatures.keys() == {
        "default",
        "serving_default",
        "encoded_local_features",
        "encoded_images",
        "encoded_crops",
    }
    with pytest.raises(UserError, match="omit --preset"):
        export.main(
            export.ExportOptions(
                workdir=str(run),
                output=str(tmp_path / "x"),
                kind="joint",
                preset=True,
            )
        )


@pytest.fixture
def parts(make_recipe):
    """A recipe, its model, its network and its task."""
    keras.utils.set_random_seed(1)
    recipe = joint_recipe(make_recipe())
    model = networks.create_model(recipe)
    task = create_task(recipe, PreparedDataset(recipe.data.directory), model)
    (network,) = networks.training_networks(
        model, recipe.image, [*model.trainable_variables, *task.variables]
    )
    return recipe, model, network, task


def batch_of(count):
    rng = np.random.default_rng(2)
    return {
        "image": tf.constant(rng.integers(0, 255, (count, 1, 32, 32, 3))),
        "valid": tf.fill((count, 1, 2), 32),
        "landmark": tf.constant(rng.integers(0, 5, (count, 1))),
    }


def test_no_gradient_of_the_local_losses_reaches_the_backbone(parts):
    recipe, model, network, task = parts
    batch = batch_of(4)
    with tf.GradientTape() as tape:
        outputs = network(batch)
        local = tf.reduce_sum(outputs["attended"]) + tf.reduce_sum(
            outputs["reconstruction_error"]
        )
    variables = model.trainable_variables
    gradients = tape.gradient(local, [each.value for each in variables])
    reached = {
        variable.path.split("/")[0]
        for variable, gradient in zip(variables, gradients, strict=True)
        if gradient is not None
    }
    assert reached == {"local_branch"}


def test_the_loss_is_the_weighted_sum_of_three(parts):
    """In NumPy, from the outputs of the network."""
    recipe, model, network, task = parts
    outputs, batch = network(batch_of(4)), batch_of(4)
    weights = {}
    for variable in task.variables:
        weights[variable.path] = variable.numpy()
    labels = batch["landmark"].numpy().ravel()

    def entropy(scores):
        scores = scores - scores.max(axis=1, keepdims=True)
        logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return -logs[np.arange(len(labels)), labels].sum()

    vectors = weights["classifier/kernel"]
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = outputs["descriptors"].numpy()[:, 0] @ vectors.T
    own = np.arange(5) == labels[:, None]
    angles = np.where(own, np.arccos(cosines) + 0.1, np.arccos(cosines))
    expected = entropy(8 * np.cos(angles))
    attended = outputs["attended"].numpy()[:, 0]
    kernel = weights["local_classifier/kernel"]
    expected += 0.5 * entropy(
        8 * (attended @ kernel.T + weights["local_classifier/bias"])
    )
    expected += 3 * outputs["reconstruction_error"].numpy().sum()
    recipe.loss = dataclasses.replace(
        recipe.loss, attention_weight=0.5, reconstruction_weight=3.0
    )
    keras.utils.set_random_seed(1)
    weighted = create_task(
        recipe, PreparedDataset(recipe.data.directory), model
    )
    for variable, twin in zip(weighted.variables, task.variables, strict=True):
        variable.assign(twin)
    np.testing.assert_allclose(
        weighted.loss(outputs, batch), expected, rtol=1e-4
    )


def test_the_branch_learns_to_reconstruct(parts):
    recipe, model, network, task = parts
    optimizer = RuleOptimizer(
        recipe.optimizer, [*model.trainable_variables, *task.variables]
    )
    step = TrainingStep(
        [network], task.loss, optimizer, tf.distribute.get_strategy()
    )
    batch = batch_of(4)
    optimizer.start_epoch(0)  # Sets the learning rates.
    replica_step = tf.function(step.replica_step)
    before = np.sum(network(batch)["reconstruction_error"])
    for _ in range(20):
        replica_step(batch)
    assert np.sum(network(batch)["reconstruction_error"]) < 0.8 * before


@pytest.mark.skipif(
    "tensorflow-tpu"
    in {each.name for each in importlib.metadata.distributions()},
    reason="TensorFlow for TPUs lowers on a TPU only",
)
def test_a_tpu_gets_a_static_program(make_recipe):
    recipe = joint_recipe(make_recipe())
    programs = RecipePrograms(recipe).for_replicas(2)
    assert [program.name for program in programs] == [
        "training 32x32",
        "extraction 32x32",
    ]
    assert "tensor<2x32x32x3xf32>" in programs[0].lower(2)


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (
            ["loss.name=contrastive", "loss.options={}"],
            "attention from classes",
        ),
        (["image.resize=aspect"], "photos of one shape"),
        (["model.pooling=attentive"], "DELF's own"),
        (
            ["training.accumulate_steps=2"],
            "batch_norm in model.local_options",
        ),
    ],
)
def test_a_recipe_that_cannot_train_jointly_says_why(
    make_recipe, assignments, message
):
    recipe = joint_recipe(make_recipe())
    with pytest.raises(UserError, match=message):
        config.validate(loading.override_recipe(recipe, assignments))
