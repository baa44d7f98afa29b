"""Graphs of exports are accepted, and those that do more are not."""

import os
import pathlib
import shutil

import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from agem_tf.config import ExtractionConfig, ImageConfig
from agem_tf.errors import UserError
from agem_tf.files.manifest import write_manifest
from agem_tf.models import AGeM
from agem_tf.saved_models.graph_operations import check_operations
from agem_tf.saved_models.retrieval_model import (
    KIND,
    ExportableModel,
    load_checked,
    load_exported,
)

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


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A SavedModel that is accepted, with a function in a loop."""

    def double(images):
        return tf.while_loop(
            lambda number, _: number < 2,
            lambda number, images: (number + 1, images + images),
            (0, images),
        )[1]

    path = tmp_path_factory.mktemp("plain") / "model"
    module = _module(double)
    module.scale = tf.Variable(2.0)
    tf.saved_model.save(module, str(path), signatures=module.run)
    check_operations(path)
    return path


def _hidden_saver(saved):
    """Adds a function that saves, which nothing calls."""
    function = saved.meta_graphs[0].graph_def.library.function.add()
    function.signature.name = "hidden"
    function.node_def.add(name="s", op="SaveV2")
    return function


def _first_node(saved):
    """Returns a node of a function that the model calls, unlike its saver."""
    names = {
        name
        for node in _objects(saved).nodes
        for name in node.function.concrete_functions
    }
    called = (f for f in _library(saved).function if f.signature.name in names)
    return next(called).node_def[0]


def _root(saved):
    return saved.meta_graphs[0].object_graph_def.nodes[0]


def _objects(saved):
    return saved.meta_graphs[0].object_graph_def


def _library(saved):
    return saved.meta_graphs[0].graph_def.library


def _calls_by_attribute(saved):
    _hidden_saver(saved)
    _first_node(saved).attr["f"].func.name = "hidden"


def _calls_by_list(saved):
    _hidden_saver(saved)
    _first_node(saved).attr["f"].list.func.add(name="hidden")


def _calls_by_an_attribute_of_a_function(saved):
    _hidden_saver(saved)
    other = _first_node(saved).attr["f"].func
    other.name = "other"
    other.attr["g"].list.func.add(name="x").attr["h"].func.name = "hidden"


def _calls_as_an_object(saved):
    _hidden_saver(saved)
    node = _objects(saved).nodes.add()
    node.function.concrete_functions.append("hidden")


def _calls_as_a_bare_function(saved):
    _hidden_saver(saved)
    node = _objects(saved).nodes.add()
    node.bare_concrete_function.concrete_function_name = "hidden"


def _calls_as_a_concrete_function(saved):
    _hidden_saver(saved)
    _objects(saved).concrete_functions["hidden"].SetInParent()


def _calls_as_a_gradient(saved):
    _hidden_saver(saved)
    _library(saved).gradient.add(function_name="x", gradient_func="hidden")


def _calls_as_a_registered_gradient(saved):
    _hidden_saver(saved)
    gradients = _library(saved).registered_gradients
    gradients.add(gradient_func="hidden", registered_op_type="x")


def _exchanges(saved):
    function = _hidden_saver(saved)
    function.attr["api_implements"].s = b"x"


def _hides_in_the_main_graph(saved):
    saved.meta_graphs[0].graph_def.node.add(name="w", op="ReadFile")


def _hides_in_an_unused_function(saved):
    _hidden_saver(saved).node_def[0].op = "WriteFile"


def _hides_behind_a_name(saved):
    function = _library(saved).function[0]
    _library(saved).function.add().CopyFrom(function)
    function.node_def[0].op = "WriteFile"


def _hides_in_a_second_graph(saved):
    saved.meta_graphs.add().CopyFrom(saved.meta_graphs[0])


def _names_a_class(saved):
    _root(saved).user_object.identifier = "_tf_keras_layer"


def _names_a_registered_class(saved):
    _root(saved).registered_name = "package.Class"


def _names_a_saver(saved):
    _root(saved).registered_saver = "package.saver"


def _has_a_resource(saved):
    _objects(saved).nodes.add().resource.device = "x"


def _calls_a_function_by_its_name(saved):
    _hidden_saver(saved)
    _first_node(saved).op = "hidden"


@pytest.mark.parametrize(
    ("forge", "fault"),
    [
        (_calls_by_attribute, "operation 'SaveV2'"),
        (_calls_by_list, "operation 'SaveV2'"),
        (_calls_by_an_attribute_of_a_function, "operation 'SaveV2'"),
        (_calls_as_an_object, "operation 'SaveV2'"),
        (_calls_as_a_bare_function, "operation 'SaveV2'"),
        (_calls_as_a_concrete_function, "operation 'SaveV2'"),
        (_calls_as_a_gradient, "operation 'SaveV2'"),
        (_calls_as_a_registered_gradient, "operation 'SaveV2'"),
        (_exchanges, "attribute 'api_implements'"),
        (_hides_in_the_main_graph, "operation 'ReadFile'"),
        (_hides_in_an_unused_function, "operation 'WriteFile'"),
        (_hides_behind_a_name, "two functions of one name"),
        (_hides_in_a_second_graph, "graphs of TensorFlow 1"),
        (_names_a_class, "class '_tf_keras_layer'"),
        (_names_a_registered_class, r"class 'package\.Class'"),
        (_names_a_saver, "kind user_object"),
        (_has_a_resource, "kind resource"),
        (_calls_a_function_by_its_name, "operation 'hidden'"),
    ],
)
def test_forged_graphs_are_refused(plain, tmp_path, forge, fault):
    saved = SavedModel.FromString((plain / "saved_model.pb").read_bytes())
    forge(saved)
    (tmp_path / "saved_model.pb").write_bytes(saved.SerializeToString())
    with pytest.raises(UserError, match=fault):
        check_operations(tmp_path)


def _cycle(saved):
    function = _library(saved).function[0]
    node = function.node_def.add(name="again", op="PartitionedCall")
    node.attr["f"].func.name = function.signature.name


def _other_type(saved):
    for node in _library(saved).function[0].node_def:
        if "T" in node.attr:
            node.attr["T"].type = types_pb2.DT_STRING


def _lost_function(saved):
    del _library(saved).function[:]


def _lost_object(saved):
    _root(saved).children[0].node_id = 1000


@pytest.mark.parametrize(
    "forge", [_cycle, _other_type, _lost_function, _lost_object]
)
def test_what_can_not_be_loaded_is_one_sentence(plain, tmp_path, forge):
    path = tmp_path / "model"
    shutil.copytree(plain, path)
    saved = SavedModel.FromString((path / "saved_model.pb").read_bytes())
    forge(saved)
    (path / "saved_model.pb").write_bytes(saved.SerializeToString())
    write_manifest(path, KIND)
    with pytest.raises(UserError, match=r"can't be loaded \(.*\); export"):
        load_checked(path)


@pytest.mark.parametrize(
    "file",
    [
        "fingerprint.pb",
        "variables/variables.index",
        "variables/variables.data-00000-of-00001",
    ],
)
def test_other_damaged_files_are_refused_or_not_used(plain, tmp_path, file):
    path = tmp_path / "model"
    shutil.copytree(plain, path)
    (path / file).write_bytes(b"\xff" * 40)
    write_manifest(path, KIND)
    try:
        load_checked(path)
    except UserError as error:
        assert "can't be loaded" in str(error)
        assert "\n" not in str(error)
    else:
        assert file == "fingerprint.pb"


def test_special_files_are_refused(plain, tmp_path):
    path = tmp_path / "model"
    shutil.copytree(plain, path)
    (path / "variables" / "variables.index").unlink()
    os.mkfifo(path / "variables" / "variables.index")
    with pytest.raises(UserError, match=r"variables\.index is not a file"):
        check_operations(path)
    (path / "variables" / "variables.index").unlink()
    write_manifest(path, KIND)
    os.mkfifo(path / "variables" / "variables.index")
    with pytest.raises(UserError, match="is not a file"):
        load_checked(path)


def test_a_graph_of_other_outputs_is_no_export(plain, tmp_path):
    def outputs(encoded_images, boxes):
        del boxes
        count = tf.shape(encoded_images)[0]
        return {"descriptors": tf.zeros((count,)), "status": tf.zeros(count)}

    module = tf.Module()
    path = tmp_path / "model"
    signature = tf.function(outputs).get_concrete_function(
        tf.TensorSpec((None,), tf.string, "encoded_images"),
        tf.TensorSpec((None, 4), tf.float32, "boxes"),
    )
    tf.saved_model.save(module, str(path), {"encoded_crops": signature})
    write_manifest(path, KIND)
    with pytest.raises(UserError, match="no signature encoded_crops with a"):
        load_exported(path)


def test_a_graph_that_fails_is_one_sentence(tmp_path):
    def outputs(encoded_images, boxes):
        del boxes
        count = tf.shape(encoded_images)[0]
        with tf.control_dependencies([tf.debugging.Assert(count < 0, ["no"])]):
            return {
                "descriptors": tf.zeros((count, 8)),
                "status": tf.zeros(count, tf.int32),
            }

    path = tmp_path / "model"
    signature = tf.function(outputs).get_concrete_function(
        tf.TensorSpec((None,), tf.string, "encoded_images"),
        tf.TensorSpec((None, 4), tf.float32, "boxes"),
    )
    tf.saved_model.save(tf.Module(), str(path), {"encoded_crops": signature})
    write_manifest(path, KIND)
    with pytest.raises(UserError, match=r"model fails \(.*\); export"):
        load_exported(path).encoded([b"photo"])
