"""Graphs of exports are accepted, and those that do more are not."""

import pathlib

import pytest
import tensorflow as tf

from agem_tf.config import ExtractionConfig, ImageConfig
from agem_tf.errors import UserError
from agem_tf.models import AGeM
from agem_tf.saved_models.graph_operations import check_operations
from agem_tf.saved_models.retrieval_model import ExportableModel

SCALES = ExtractionConfig(scales=(1.0,))
IMAGES = tf.TensorSpec((None, None, None, 3), tf.float32)
MARKER = pathlib.Path("/tmp/agem_tf_was_here")


def test_exports_are_accepted(tmp_path):
    model = AGeM(
        "resnet18_torch",
        attention_placement=("blocks",),
        batch_norm="trainable",
        pooling="rmac",
        whitening_dimension=8,
        dtype="mixed_bfloat16",
    )
    image = ImageConfig(size=64, resize="aspect", interpolation="lanczos3")
    ExportableModel(model, image, SCALES).save(tmp_path / "model")
    check_operations(tmp_path / "model")


def _module(function):
    module = tf.Module()
    module.run = tf.function(function, input_signature=[IMAGES])
    return module


def _writes(images):
    tf.io.write_file(str(MARKER), "x")
    return images


def _reads(images):
    return images, tf.io.read_file("/etc/passwd")


def _calls_python(images):
    return tf.py_function(lambda x: x, [images], tf.float32)


def _prints_to_a_file(images):
    tf.print("x", output_stream=f"file://{MARKER}")
    return images


def _hides_in_a_branch(images):
    def write():
        tf.io.write_file(str(MARKER), "x")
        return 1.0

    return images * tf.cond(tf.size(images) > 0, write, lambda: 2.0)


def _saves(images):
    tf.raw_ops.SaveV2(
        prefix=str(MARKER),
        tensor_names=["x"],
        shape_and_slices=[""],
        tensors=[images],
    )
    return images


@pytest.mark.parametrize(
    ("function", "operation"),
    [
        (_writes, "WriteFile"),
        (_reads, "ReadFile"),
        (_calls_python, "EagerPyFunc"),
        (_prints_to_a_file, "StringFormat"),
        (_hides_in_a_branch, "WriteFile"),
        (_saves, "SaveV2"),
    ],
)
def test_other_operations_are_refused(tmp_path, function, operation):
    tf.saved_model.save(_module(function), str(tmp_path))
    with pytest.raises(UserError, match=f"the operation '{operation}'"):
        check_operations(tmp_path)
    assert not MARKER.exists()


def test_files_beside_the_graph_are_refused(tmp_path):
    (tmp_path / "words").write_text("a\nb\n")
    module = _module(lambda images: images)
    module.asset = tf.saved_model.Asset(str(tmp_path / "words"))
    tf.saved_model.save(module, str(tmp_path / "model"))
    with pytest.raises(UserError, match="an object of the kind asset"):
        check_operations(tmp_path / "model")


def test_other_forms_of_the_graph_are_refused(tmp_path):
    (tmp_path / "saved_model.pbtxt").touch()
    with pytest.raises(UserError, match=r"holds saved_model\.pbtxt; remove"):
        check_operations(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\xff" * 99])
def test_a_damaged_graph_is_refused(tmp_path, content):
    (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(UserError, match="is damaged|graphs of TensorFlow 1"):
        check_operations(tmp_path)
