"""The whole run: scores, files, an equal SavedModel, resuming, refusals."""

import copy
import csv
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from agem_tf import config, extract, whiten
from agem_tf import evaluate as evaluate_command
from agem_tf import export as export_command
from agem_tf import visualize as visualize_command
from agem_tf.config import UseConfig
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.errors import UserError
from agem_tf.pages.attention import load_squares
from agem_tf.training import job, runs
from agem_tf.training.checkpoints import load_variables
from agem_tf.training.networks import create_model


@pytest.fixture(scope="module")
def run(make_recipe, tmp_path_factory):
    """A finished run: (recipe, workdir, result)."""
    recipe = make_recipe()
    workdir = tmp_path_factory.mktemp("run")
    return recipe, workdir, job.run_recipe(recipe, workdir)


def test_a_run_writes_its_files(run):
    _, workdir, result = run
    variants = [
        "untrained",
        "untrained, learned whitening",
        "trained",
        "trained, learned whitening",
    ]
    assert list(result.evaluations) == variants
    metrics = json.loads((workdir / "metrics.json").read_text())
    assert set(metrics) == set(variants)
    history = json.loads((workdir / "history.json").read_text())
    assert [row["epoch"] for row in history] == [1, 2]
    assert all(np.isfinite(list(row.values())).all() for row in history)
    assert history[1]["p"] != history[0]["p"]
    assert "<html" in result.report.read_text()
    assert list((workdir / "tensorboard").glob("events*"))
    assert len(list((workdir / "checkpoints").glob("*.index"))) == 2


def test_rows_of_steps_add_up_to_their_epoch(recipe, tmp_path):
    """15 tuples in steps of 4: a row after the second step and the third."""
    recipe.training.log_steps = 2
    recipe.training.steps_per_call = 3
    recipe.training.validate_steps = 2
    recipe.data.test_split, recipe.extraction.whitening = "", "none"
    job.run_recipe(recipe, tmp_path)
    with (tmp_path / "steps.csv").open() as file:
        rows = [
            {key: float(value) for key, value in row.items()}
            for row in csv.DictReader(file)
        ]
    history = json.loads((tmp_path / "history.json").read_text())
    epochs = [row["epoch"] for row in history]
    assert epochs == pytest.approx([2 / 3, 1, 5 / 3, 2], abs=1e-6)
    assert {"validation_map", "p"} <= set(history[0])
    assert "train_loss" not in history[0]
    history = history[1::2]
    for epoch, (first, last) in enumerate([rows[:2], rows[2:]]):
        expected = history[epoch]
        assert [row["epoch"] for row in (first, last)] == 2 * [epoch + 1]
        assert [row["step"] for row in (first, last)] == [2, 3]
        loss = (2 * first["loss"] + last["loss"]) / 3
        assert loss == pytest.approx(expected["train_loss"], rel=1e-5)
        assert last["learning_rate"] == pytest.approx(expected["learning_rate"])
        assert last["p"] == pytest.approx(expected["p"])
        for row in (first, last):
            assert row["gradient_norm"] > 0 and row["images_per_second"] > 0
            assert 0 <= row["data_wait"] <= 1


def test_a_finished_run_is_not_trained_again(run):
    recipe, workdir, result = run
    before = (workdir / "best.keras").stat().st_mtime_ns
    again = job.run_recipe(copy.deepcopy(recipe), workdir)
    assert (workdir / "best.keras").stat().st_mtime_ns == before
    for name, evaluation in result.evaluations.items():
        np.testing.assert_array_equal(
            evaluation.ranks, again.evaluations[name].ranks
        )


def test_training_ends_when_it_gets_no_better(recipe, tmp_path):
    """A resumed run counts the epochs before it, too."""
    recipe.optimizer.learning_rate = 1e-12  # All scores are equal.
    recipe.training.patience = 2
    recipe.evaluation.untrained = False
    recipe.extraction.whitening = "none"
    job.run_recipe(recipe, tmp_path)
    recipe.training.epochs = 9
    result = job.run_recipe(recipe, tmp_path)
    assert list(result.evaluations) == ["trained"]
    history = json.loads((tmp_path / "history.json").read_text())
    assert [row["epoch"] for row in history] == [1, 2, 3]


@pytest.mark.parametrize("kind", ["run", "best", "checkpoint", "preset"])
def test_a_training_starts_from_a_whole_network(run, tmp_path, caplog, kind):
    recipe, workdir, _ = run
    source = runs.load_best_model(workdir)
    paths = {
        "run": workdir,
        "best": workdir / "best.keras",
        "checkpoint": sorted((workdir / "checkpoints").glob("*.index"))[0],
        "preset": tmp_path / "preset",
    }
    path = paths[kind]
    if kind == "preset":
        source.save_preset(path)
    if kind == "checkpoint":
        path = path.with_suffix("")
        load_variables(path, source.variables)
    recipe = copy.deepcopy(recipe)
    recipe.model.weights = str(path)
    recipe.model.pooling, recipe.model.whitening_dimension = "mac", 5
    with caplog.at_level("INFO", logger="agem_tf.training.networks"):
        model = create_model(recipe)
    (message,) = caplog.messages
    assert message.endswith("new weights: whitening; not used: pooling")
    weights = {weight.path: weight.numpy() for weight in source.weights}
    for weight in model.weights:
        if not weight.path.startswith("whitening"):
            expected = weights[weight.path]
            np.testing.assert_array_equal(weight.numpy(), expected)


def test_a_network_of_another_backbone_is_no_start(run):
    recipe, workdir, _ = run
    recipe = copy.deepcopy(recipe)
    recipe.model.weights = str(workdir)
    recipe.model.backbone = "efficientnet_lite2"
    with pytest.raises(UserError, match="efficientnet_lite0, and model.back"):
        create_model(recipe)


def test_a_workdir_of_another_recipe_is_refused(run):
    recipe, workdir, _ = run
    other = copy.deepcopy(recipe)
    other.model.pooling = "mac"
    with pytest.raises(UserError, match=r"model.pooling \('gem', 'mac'\)"):
        job.run_recipe(other, workdir)


def test_a_run_with_earlier_default_rules_resumes_with_them(recipe, tmp_path):
    recipe.optimizer.rules = config.earlier_default_rules()
    recipe.training.epochs = 1
    job.run_recipe(recipe, tmp_path)
    claim = json.loads((tmp_path / "config.json").read_text())
    for rule in claim["recipe"]["optimizer"]["rules"]:
        del rule["up_to"]  # Earlier versions did not know it.
    del claim["checksum"]
    (tmp_path / "config.json").write_text(json.dumps(claim))
    recipe.optimizer.rules = config.default_rules()
    recipe.training.epochs = 2
    job.run_recipe(recipe, tmp_path)
    assert len(json.loads((tmp_path / "history.json").read_text())) == 2
    claim = json.loads((tmp_path / "config.json").read_text())
    patterns = [r["pattern"] for r in claim["recipe"]["optimizer"]["rules"]]
    assert "stem*" in patterns


def test_exported_and_in_memory_descriptors_agree(run, tmp_path):
    recipe, workdir, result = run
    split = PreparedDataset(recipe.data.directory).split("test")
    expected = runs.open_run(workdir, tf.distribute.get_strategy())
    extractor = expected.extractor(tf.distribute.get_strategy())
    database = extractor.database(split)
    whitening = LinearWhitening.load(workdir / "whitening")
    whitened = whitening.apply_to(database).descriptors

    loaded = tf.saved_model.load(str(result.saved_model))
    encoded = tf.constant(encoded_photos(split))
    served = loaded.signatures["encoded_images"](encoded_images=encoded)
    np.testing.assert_allclose(served["descriptors"], whitened, atol=1e-5)

    images = resized_photos(split, recipe)
    layer = keras.layers.TFSMLayer(
        str(result.saved_model), call_endpoint="serving_default"
    )
    np.testing.assert_allclose(
        layer(images)["descriptors"], whitened, atol=1e-5
    )
    np.testing.assert_allclose(loaded(images), whitened, atol=1e-5)
    # Normalizations are folded: their gammas and betas are gone.
    kernels = [v for v in expected.model.trainable_variables if v.ndim > 1]
    shapes = [tuple(v.shape) for v in loaded.trainable_variables]
    assert all(shapes.count(tuple(v.shape)) for v in kernels)
    assert loaded(images, training=True).shape == whitened.shape


def encoded_photos(split):
    examples = (tf.train.Example.FromString(split.read(i)) for i in range(9))
    return [
        example.features.feature["image"].bytes_list.value[0]
        for example in examples
    ]


def resized_photos(split, recipe):
    photos = load_squares(split, recipe.image, range(len(split)))
    return photos.astype(np.float32)


def test_commands_agree_with_the_run(run, tmp_path):
    recipe, workdir, result = run
    data = recipe.data.directory
    for split in ("train", "test"):
        extract.main(
            extract.ExtractOptions(
                workdir=str(workdir), output=str(tmp_path / split), split=split
            )
        )
    learned = whiten.main(
        whiten.WhitenOptions(
            descriptors=str(tmp_path / "train"),
            output=str(tmp_path / "lw"),
            data_dir=data,
        )
    )
    evaluation = evaluate_command.main(
        evaluate_command.EvaluateOptions(
            descriptors=str(tmp_path / "test"),
            data_dir=data,
            whitening=str(tmp_path / "lw"),
            output=str(tmp_path / "scores"),
        )
    )
    expected = result.evaluations["trained, learned whitening"]
    assert (
        evaluation.scores.medium.mean_average_precision
        == expected.scores.medium.mean_average_precision
    )
    assert (tmp_path / "scores" / "metrics.json").exists()
    assert learned.kind == "learned"
    page = visualize_command.main(
        visualize_command.VisualizeOptions(
            workdir=str(workdir),
            descriptors=str(tmp_path / "test"),
            output=str(tmp_path / "page.html"),
            count=2,
        )
    )
    assert "data:image/" in page.read_text()


def test_descriptors_of_other_scales_are_refused(run, tmp_path):
    recipe, workdir, _ = run
    several = extract.main(
        extract.ExtractOptions(
            workdir=str(workdir),
            output=str(tmp_path / "ms"),
            split="test",
            scales=(1.0, 0.5),
        )
    )
    single = DescriptorSet.load(workdir / "descriptors" / "trained" / "test")
    assert not np.allclose(several.descriptors, single.descriptors)
    norms = np.linalg.norm(several.descriptors, axis=1)
    np.testing.assert_allclose(norms, 1, atol=1e-5)
    with pytest.raises(UserError, match="scales"):
        evaluate_command.main(
            evaluate_command.EvaluateOptions(
                descriptors=str(tmp_path / "ms"),
                data_dir=recipe.data.directory,
                whitening=str(workdir / "whitening"),
            )
        )
    with pytest.raises(UserError, match="scales"):
        export_command.main(
            export_command.ExportOptions(
                workdir=str(workdir),
                output=str(tmp_path / "model"),
                whitening=str(workdir / "whitening"),
                scales=(1.0, 0.5),
            )
        )


def test_exported_scales_equal_extracted_ones(run, tmp_path):
    recipe, workdir, _ = run
    several = extract.main(
        extract.ExtractOptions(
            workdir=str(workdir),
            output=str(tmp_path / "ms"),
            split="test",
            scales=(1.0, 0.7071),
        )
    )
    path = export_command.main(
        export_command.ExportOptions(
            workdir=str(workdir),
            output=str(tmp_path / "model"),
            scales=(1.0, 0.7071),
        )
    )
    split = PreparedDataset(recipe.data.directory).split("test")
    loaded = tf.saved_model.load(str(path))
    served = loaded.signatures["encoded_images"](
        encoded_images=tf.constant(encoded_photos(split))
    )
    np.testing.assert_allclose(
        served["descriptors"], several.descriptors, atol=1e-5
    )


def test_extraction_is_skipped_when_done_and_redone_on_demand(run, tmp_path):
    _, workdir, _ = run
    output = tmp_path / "test"
    extract.main(
        extract.ExtractOptions(workdir=str(workdir), output=str(output))
    )
    first = (output / "descriptors.npy").stat().st_mtime_ns
    extract.main(
        extract.ExtractOptions(workdir=str(workdir), output=str(output))
    )
    assert (output / "descriptors.npy").stat().st_mtime_ns == first
    extract.main(
        extract.ExtractOptions(
            workdir=str(workdir), output=str(output), overwrite=True
        )
    )
    assert (output / "descriptors.npy").stat().st_mtime_ns != first


def test_tests_have_photos_of_their_own(recipe, tmp_path):
    """So have the exported model and the commands on the run."""
    recipe.extraction.mining.size = 32
    recipe.extraction.validation.scales = (1.0, 1.4)
    recipe.training.epochs = 1
    job.run_recipe(recipe, tmp_path)
    recipe.extraction.test = UseConfig(48, (1.0, 0.7))
    result = job.run_recipe(recipe, tmp_path)

    database = DescriptorSet.load(tmp_path / "descriptors/trained/test")
    assert database.provenance["image"]["size"] == 48
    assert database.provenance["scales"] == [1.0, 0.7]
    extracted = extract.main(
        extract.ExtractOptions(
            workdir=str(tmp_path), output=str(tmp_path / "test")
        )
    )
    assert extracted.provenance == database.provenance
    np.testing.assert_array_equal(extracted.descriptors, database.descriptors)
    split = PreparedDataset(recipe.data.directory).split("test")
    served = tf.saved_model.load(str(result.saved_model)).signatures[
        "encoded_images"
    ](encoded_images=tf.constant(encoded_photos(split)))
    whitened = LinearWhitening.load(tmp_path / "whitening").apply_to(database)
    np.testing.assert_allclose(
        served["descriptors"], whitened.descriptors, atol=1e-5
    )
    recipe.extraction.mining.size = 0
    with pytest.raises(UserError, match="extraction.mining.size"):
        job.run_recipe(recipe, tmp_path)


def test_photos_of_any_shape_keep_their_proportions(recipe, tmp_path):
    recipe.image.resize = "aspect"
    recipe.training.epochs = 1
    result = job.run_recipe(recipe, tmp_path)
    split = PreparedDataset(recipe.data.directory).split("test")
    loaded = tf.saved_model.load(str(result.saved_model))
    served = loaded.signatures["encoded_images"](
        encoded_images=tf.constant(encoded_photos(split))
    )["descriptors"]
    database = DescriptorSet.load(tmp_path / "descriptors/trained/test")
    whitened = LinearWhitening.load(tmp_path / "whitening").apply_to(database)
    np.testing.assert_allclose(served, whitened.descriptors, atol=1e-5)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"model": {"weights": "gone.h5"}}, "gone.h5"),
        ({"model": {"pooling_options": {"q": 3}}}, "can't be built"),
        ({"training": {"batch_tuples": 50}}, "batch_tuples=50"),
        ({"mining": {"num_negatives": 9}}, "3 usable landmarks|5 usable"),
        ({"loss": {"options": {"margn": 1}}}, "loss can't be built"),
        ({"data": {"test_split": "tset"}}, "no split 'tset'"),
        ({"data": {"directory": "gone"}}, "agem_tf.prepare"),
        ({"evaluation": {"rerank": "dba:2 aqe"}}, "Unknown re-ranking 'aqe'"),
        ({"evaluation": {"rerank": "agem"}}, "num_neighbours=20, .* 9 photos"),
        ({"evaluation": {"rerank": "verify"}}, "evaluation.rerank has verify"),
    ],
)
def test_a_recipe_that_cannot_run_says_why(recipe, tmp_path, override, message):
    for section, fields in override.items():
        for field, value in fields.items():
            setattr(getattr(recipe, section), field, value)
    with pytest.raises(UserError, match=message):
        job.run_recipe(recipe, tmp_path / "run")


def test_a_recipe_can_ask_for_re_ranking(run, tmp_path):
    """Also of a finished run, whose weights it does not change."""
    recipe, workdir, before = run
    recipe = copy.deepcopy(recipe)
    recipe.evaluation.rerank = "dba:3,1 qe:2"
    shutil.copytree(workdir, tmp_path / "run")
    after = job.run_recipe(recipe, tmp_path / "run").evaluations
    plain = "trained, learned whitening"
    again = evaluate_command.main(
        evaluate_command.EvaluateOptions(
            descriptors=str(tmp_path / "run/descriptors/trained/test"),
            data_dir=recipe.data.directory,
            whitening=str(tmp_path / "run/whitening"),
            rerank=["dba:3,1", "qe:2"],
        )
    )
    np.testing.assert_array_equal(
        after[f"{plain}, dba:3,1 qe:2"].ranks, again.ranks
    )
    expected = before.evaluations[plain].ranks
    np.testing.assert_array_equal(after[plain].ranks, expected)
    assert not np.array_equal(again.ranks, expected)


def test_fewer_epochs_than_are_finished_are_refused(run):
    recipe, workdir, _ = run
    fewer = copy.deepcopy(recipe)
    fewer.training.epochs = 0
    with pytest.raises(UserError, match="2 finished epochs"):
        job.run_recipe(fewer, workdir)


def test_another_dataset_is_refused(run, places, tmp_path):
    recipe, workdir, _ = run
    other = copy.deepcopy(recipe)
    other.data.directory = str(tmp_path / "other")
    shutil.copytree(places, other.data.directory)
    manifest = tmp_path / "other" / "manifest.json"
    content = json.loads(manifest.read_text()) | {"checksum": None}
    records = [name for name in content["files"] if "records/" in name]
    content["files"][records[0]]["sha256"] = "0" * 64
    manifest.write_text(json.dumps(content))
    with pytest.raises(UserError, match="another dataset"):
        job.run_recipe(other, workdir)


def test_a_refused_recipe_does_not_claim_the_workdir(recipe, tmp_path):
    directory = recipe.data.directory
    recipe.data.directory = "mien"
    with pytest.raises(UserError, match=r"agem_tf\.prepare"):
        job.run_recipe(recipe, tmp_path / "run")
    recipe.data.directory = directory
    recipe.training.epochs = 0
    recipe.data.test_split = ""
    recipe.extraction.whitening = "none"
    assert not job.run_recipe(recipe, tmp_path / "run").evaluations


def test_precision_is_that_of_the_recipe_in_every_command(recipe, tmp_path):
    recipe.training.precision = "mixed_bfloat16"
    recipe.training.epochs = 0
    recipe.extraction.whitening = "none"
    job.run_recipe(recipe, tmp_path / "run")
    assert keras.config.dtype_policy().name == "float32"
    extracted = extract.main(
        extract.ExtractOptions(
            workdir=str(tmp_path / "run"), output=str(tmp_path / "test")
        )
    )
    made = DescriptorSet.load(tmp_path / "run/descriptors/untrained/test")
    assert extracted.provenance == made.provenance
    np.testing.assert_array_equal(extracted.descriptors, made.descriptors)


def test_a_corrupt_record_is_named(recipe, places, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(places, data)
    record = next((data / "records").glob("*train.tfrecord*"))
    content = bytearray(record.read_bytes())
    content[len(content) // 2] ^= 1
    record.write_bytes(content)
    recipe.data.directory = str(data)
    recipe.data.test_split = ""
    with pytest.raises(UserError, match="train.tfrecord.* is corrupt"):
        job.run_recipe(recipe, tmp_path / "run")


def test_a_run_is_scored_by_the_protocol_of_its_dataset(
    recipe, places, tmp_path
):
    shutil.copytree(places, tmp_path / "data")
    manifest = tmp_path / "data" / "manifest.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(
        json.dumps(content | {"protocol": "instre", "checksum": None})
    )
    recipe.data.directory = str(tmp_path / "data")
    recipe.model.backbone, recipe.model.feature_map = "vgg16", "C2"
    recipe.model.attention = "none"
    recipe.extraction.whitening = "none"
    recipe.training.epochs = 0
    result = job.run_recipe(recipe, tmp_path / "run")
    assert result.evaluations["untrained"].protocol == "instre"
    assert "mAP medium" not in result.describe()
    assert "Protocol: instre" in result.report.read_text()
