"""One SavedModel serves every consumer, with one result."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from agem_tf.config import ExtractionConfig, ImageConfig
from agem_tf.extraction.pyramid import ScalePyramid
from agem_tf.models import AGeM
from agem_tf.saved_models.retrieval_model import export_model
from agem_tf.saved_models.warmup import FILE

SCALES = (1.0, 0.7071)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, (2, 48, 32, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(1)
    model = AGeM()
    for variable in model.variables:
        if "moving_variance" in variable.path or "gamma" in variable.path:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif "moving_mean" in variable.path or "beta" in variable.path:
            variable.assign(rng.normal(0, 0.1, variable.shape))
    return model


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "agem" / "1"
    image = ImageConfig(size=48, resize="aspect")
    extraction = ExtractionConfig(scales=SCALES)
    return str(export_model(model, path, image, extraction))


@pytest.fixture(scope="module")
def expected(model, images):
    """Descriptors of the network as it is, not merged."""
    image = ImageConfig(size=48, resize="aspect")
    return ScalePyramid(model, image, SCALES).descriptors(images).numpy()


@pytest.fixture(scope="module")
def loaded(exported):
    return tf.saved_model.load(exported)


def check(found, expected):
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_tensorflow_loads_fewer_variables(loaded, model, images, expected):
    serve = loaded.signatures["serving_default"]
    check(serve(images=tf.constant(images))["descriptors"], expected)
    check(loaded(images), expected)
    check(loaded(images, training=True), expected)
    # TF-Hub's interface of what can be trained further.
    assert len(loaded.trainable_variables) > 49 * 2
    assert len(loaded.regularization_losses) == 0
    # Each of the 49 merged convolutions had a kernel and four variables.
    assert len(loaded.variables) == len(model.variables) - 49 * 3


def test_its_attention_is_that_of_the_model(loaded, model, images):
    found = loaded.signatures["attention"](images=images)["maps"]
    np.testing.assert_allclose(found, model.attention_maps(images), atol=1e-5)


def test_keras_takes_it_as_a_layer(exported, images, expected):
    layer = keras.layers.TFSMLayer(exported, call_endpoint="serving_default")
    check(layer(images)["descriptors"], expected)


@pytest.mark.parametrize(
    ("weights", "least"), [(tf.float16, 0.9999), (tf.int8, 0.999)]
)
def test_tensorflow_lite_runs_it_with_fewer_bits(
    exported, images, expected, weights, least
):
    converter = tf.lite.TFLiteConverter.from_saved_model(
        exported, signature_keys=["serving_default"]
    )
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if weights == tf.float16:
        converter.target_spec.supported_types = [weights]
    content = converter.convert()
    floats = sum(
        os.path.getsize(os.path.join(exported, "variables", name))
        for name in os.listdir(os.path.join(exported, "variables"))
    )
    assert len(content) < floats * (weights.size + 1) / 4
    run = tf.lite.Interpreter(model_content=content).get_signature_runner()
    found = run(images=images)["descriptors"]
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-4)
    assert ((found * expected).sum(axis=1) > least).all()


def test_onnx_runtime_runs_it(exported, images, expected, tmp_path):
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    path = str(tmp_path / "model.onnx")
    arguments = ["--saved-model", exported, "--output", path]
    arguments += ["--signature_def", "serving_default"]
    command = [sys.executable, "-m", "tf2onnx.convert", *arguments]
    subprocess.run(command, check=True, capture_output=True)
    session = runtime.InferenceSession(path)
    (found,) = session.run(["descriptors"], {"images": images})
    check(found, expected)


def test_tensorflow_hub_loads_it(exported, images, expected):
    hub = pytest.importorskip("tensorflow_hub")
    check(hub.load(exported)(images), expected)


def test_a_hub_layer_is_fine_tuned(exported, images, expected):
    hub = pytest.importorskip("tensorflow_hub")
    tf_keras = pytest.importorskip("tf_keras")
    layer = hub.KerasLayer(exported, trainable=True)
    head = tf_keras.Sequential([layer, tf_keras.layers.Dense(3)])
    check(layer(images), expected)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(head(images, training=True) ** 2)
    gradients = tape.gradient(loss, layer.trainable_variables)
    assert len(gradients) > 49 * 2
    assert all(gradient is not None for gradient in gradients)
    head.compile("sgd", "mse")
    head.fit(images, np.ones((2, 3)), epochs=1, verbose=0)
    assert np.abs(layer(images) - expected).max() > 1e-6


SESSION = """
import sys
import numpy as np
import tensorflow as tf
directory, images, photo, output = sys.argv[1:]
with tf.compat.v1.Session(graph=tf.Graph()) as session:
    model = tf.compat.v1.saved_model.load(session, ["serve"], directory)
    signature = model.signature_def["serving_default"]
    found = session.run(
        signature.outputs["descriptors"].name,
        {signature.inputs["images"].name: np.load(images)},
    )
    signature = model.signature_def["encoded_images"]
    encoded, status = session.run(
        [signature.outputs[name].name for name in ("descriptors", "status")],
        {
            signature.inputs["encoded_images"].name: [
                open(photo, "rb").read(), b"no photo"
            ]
        },
    )
assert not any(name.startswith("agem_tf") for name in sys.modules)
np.savez(output, found=found, encoded=encoded, status=status)
"""


def test_a_session_needs_no_other_package(
    exported, images, expected, loaded, tmp_path
):
    files = ["images.npy", "photo.png", "found.npz"]
    np.save(tmp_path / "images.npy", images)
    photo = tf.io.encode_png(images[0].astype(np.uint8)).numpy()
    (tmp_path / "photo.png").write_bytes(photo)
    subprocess.run(
        [sys.executable, "-c", SESSION, exported, *files],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ""},
        check=True,
    )
    found = np.load(tmp_path / "found.npz")
    check(found["found"], expected)
    answer = loaded.signatures["encoded_images"](
        encoded_images=tf.constant([photo, b"no photo"])
    )
    check(found["encoded"], answer["descriptors"])
    assert found["status"].tolist() == [0, 2]


def fields(content):
    """Decodes a protocol buffer of fields of variable length."""
    found, position = [], 0
    while position < len(content):
        number, size, shift = content[position] >> 3, 0, 0
        assert content[position] & 7 == 2
        while True:
            position += 1
            size |= (content[position] & 127) << shift
            shift += 7
            if content[position] < 128:
                break
        position += 1
        found.append((number, content[position : position + size]))
        position += size
    return found


def test_warmup_requests_can_be_replayed(exported, loaded):
    replayed = []
    for record in tf.data.TFRecordDataset(os.path.join(exported, FILE)):
        ((number, log),) = fields(record.numpy())
        assert number == 6
        ((number, request),) = fields(log)
        assert number == 1
        (_, specification), *inputs = fields(request)
        ((_, signature),) = fields(specification)
        values = {}
        for number, entry in inputs:
            assert number == 2
            (_, name), (_, content) = fields(entry)
            tensor = tf.make_tensor_proto(0)
            tensor.ParseFromString(content)
            values[name.decode()] = tf.constant(tf.make_ndarray(tensor))
        answer = loaded.signatures[signature.decode()](**values)
        norms = np.linalg.norm(answer["descriptors"], axis=1)
        np.testing.assert_allclose(norms, 1, atol=1e-5)
        replayed.append(signature.decode())
    assert replayed == ["serving_default", "encoded_images", "encoded_crops"]
