"""DELG's local branch: its outputs, its files and where gradients stop."""

import keras
import numpy as np
import pytest

from agem_tf.layers import LocalBranch

CHANNELS = 8


def inputs(batch=3, sides=(5, 4)):
    rng = np.random.default_rng(0)
    descriptors = rng.normal(size=(batch, 7)).astype("float32")
    features = rng.uniform(0, 2, (batch, *sides, CHANNELS)).astype("float32")
    return descriptors, features


def branch(**options):
    return LocalBranch(6, 10, "frozen_statistics", **options)


def test_outputs_are_those_of_the_formulas(randomize):
    descriptors, features = inputs()
    layer = branch()
    layer(descriptors, features)
    randomize(layer)
    outputs = {
        name: np.asarray(value)
        for name, value in layer(descriptors, features).items()
    }
    assert tuple(sorted(outputs)) == LocalBranch.OUTPUTS
    np.testing.assert_array_equal(outputs["descriptors"], descriptors)
    values = {each.path: np.asarray(each) for each in layer.weights}

    def conv(name, x):
        (path,) = [p for p in values if p.endswith(f"{name}/kernel")]
        bias = values[path.replace("kernel", "bias")]
        return x @ values[path][0, 0] + bias

    codes = conv("encoder", features)
    np.testing.assert_allclose(outputs["features"], codes, atol=1e-5)
    decoded = np.maximum(conv("decoder", codes), 0)
    error = np.mean((decoded - features) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(
        outputs["reconstruction_error"], error, rtol=1e-5
    )
    scores = np.asarray(layer.attention(features))
    np.testing.assert_allclose(outputs["scores"], scores[..., 0], rtol=1e-5)
    norms = np.linalg.norm(decoded, axis=-1, keepdims=True)
    attended = np.mean(scores * decoded / np.maximum(norms, 1e-12), axis=(1, 2))
    np.testing.assert_allclose(outputs["attended"], attended, atol=1e-5)


def test_symbolic_shapes_are_those_of_the_result():
    descriptors, features = inputs()
    layer = branch()
    results = layer(descriptors, features)
    symbolic = branch()(
        keras.KerasTensor((None, 7)),
        keras.KerasTensor((None, None, None, CHANNELS)),
    )
    for name, result in results.items():
        assert len(symbolic[name].shape) == len(result.shape)
        assert symbolic[name].shape[1:] in (
            tuple(result.shape[1:]),
            (None, None, *result.shape[3:]),
        )


def test_a_file_keeps_the_layer(randomize, tmp_path):
    descriptors, features = inputs()
    arguments = [keras.Input((7,)), keras.Input((None, None, CHANNELS))]
    layer = branch(name="branch")
    model = keras.Model(arguments, layer(*arguments))
    randomize(model)
    config = layer.get_config()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("branch").get_config() == config
    ours, theirs = (each([descriptors, features]) for each in (model, loaded))
    for name, value in ours.items():
        np.testing.assert_allclose(theirs[name], value, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dimension": 0}, "dimension=0"),
        ({"filters": 0}, "filters=0"),
        ({"batch_norm": "no"}, "batch_norm"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        LocalBranch(**arguments)
