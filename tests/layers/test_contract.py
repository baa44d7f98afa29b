"""Properties that every layer has."""

import keras
import numpy as np
import pytest

from agem_tf import layers

CHANNELS = 8

MAP_LAYERS = {
    "attentive_pooling": lambda **k: layers.AttentivePooling(
        6, batch_norm="frozen_statistics", **k
    ),
    "cbam": lambda **k: layers.CBAM(reduction=2, kernel_size=3, **k),
    "channel_attention": lambda **k: layers.ChannelAttention(4, **k),
    "crow": lambda **k: layers.CroW(**k),
    "downsampling_attention": lambda **k: layers.DownsamplingAttention(12, **k),
    "frozen_batch_normalization": (
        lambda **k: layers.FrozenStatisticsBatchNormalization(**k)
    ),
    "gem": lambda **k: layers.GeM(**k),
    "gem_per_channel": lambda **k: layers.GeM(2.5, per_channel=True, **k),
    "local_attention": lambda **k: layers.LocalAttention(6, **k),
    "mac": lambda **k: layers.MAC(**k),
    "pointwise_attention": lambda **k: layers.PointwiseAttention(1.0, **k),
    "pyramid_attention": lambda **k: layers.PyramidAttention((1, 2), **k),
    "pyramid_attention_once": (
        lambda **k: layers.PyramidAttention([3], cascaded=False, **k)
    ),
    "regional": lambda **k: layers.Regional(layers.GeM(dtype="float32"), **k),
    "regional_attention": lambda **k: layers.RegionalAttention(2, 5, **k),
    "regional_scda_whitened": lambda **k: layers.Regional(
        layers.SCDA(), levels=2, whitening=layers.Whitening(5), **k
    ),
    "rmac": lambda **k: layers.RMAC(levels=2, **k),
    "scda": lambda **k: layers.SCDA(connectivity=4, **k),
    "spatial_attention": lambda **k: layers.SpatialAttention(
        5, batch_norm="frozen_statistics", **k
    ),
    "spoc": lambda **k: layers.SPoC(**k),
    "weighted_gem": lambda **k: layers.WeightedGeM(2.5, **k),
}
VECTOR_LAYERS = {
    "cosine_classifier": lambda **k: layers.CosineClassifier(7, **k),
    "l2_normalization": lambda **k: layers.L2Normalization(1e-5, **k),
    "linear_classifier": lambda **k: layers.LinearClassifier(7, seed=2, **k),
    "whitening": lambda **k: layers.Whitening(5, **k),
}
LAYERS = MAP_LAYERS | VECTOR_LAYERS

every_layer = pytest.mark.parametrize("name", LAYERS)


def example_inputs(name, batch=3, sides=(9, 6)):
    shape = (batch, *sides, CHANNELS) if name in MAP_LAYERS else (batch, 8)
    values = np.random.default_rng(5).normal(size=shape)
    return np.maximum(values, 0).astype("float32")


def _input_shape(name):
    unknown_sides = (None, None) if name in MAP_LAYERS else ()
    return (*unknown_sides, CHANNELS)


@every_layer
def test_declared_and_symbolic_shapes_are_those_of_the_result(name):
    x = example_inputs(name)
    layer = LAYERS[name]()
    known = layer(keras.KerasTensor(x.shape)).shape
    unknown = layer(keras.KerasTensor((None, *_input_shape(name)))).shape
    result = layer(x).shape
    assert tuple(known) == tuple(result)
    assert tuple(layer.compute_output_shape(x.shape)) == tuple(result)
    assert len(unknown) == len(result) and unknown[-1] == result[-1]


@every_layer
def test_config_survives_building_and_serialization(name, randomize):
    x = example_inputs(name)
    layer = LAYERS[name](name="layer")
    config = layer.get_config()
    layer(x)
    randomize(layer)
    assert layer.get_config() == config
    serialized = keras.saving.serialize_keras_object(layer)
    twin = keras.saving.deserialize_keras_object(serialized)
    assert twin.get_config() == config
    twin(x)
    twin.set_weights(layer.get_weights())
    np.testing.assert_array_equal(twin(x), layer(x))


@every_layer
def test_model_file_keeps_the_result(name, randomize, tmp_path):
    images = keras.Input(_input_shape(name))
    model = keras.Model(images, LAYERS[name]()(images))
    randomize(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for sides in [(9, 6), (5, 12)]:
        x = example_inputs(name, 2, sides)
        np.testing.assert_allclose(loaded(x), model(x), rtol=1e-5)


@every_layer
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_rounds_the_float32_result(name, policy, randomize):
    x = example_inputs(name)
    layer, reference = LAYERS[name](dtype=policy), LAYERS[name]()
    layer.build(x.shape)
    reference.build(x.shape)
    randomize(layer)
    randomize(reference)
    result = layer(x)
    assert keras.backend.standardize_dtype(result.dtype) == (
        layer.compute_dtype
    )
    expected = np.asarray(reference(x))
    tolerance = {"mixed_float16": 4e-3, "mixed_bfloat16": 4e-2}[policy]
    np.testing.assert_allclose(
        keras.ops.cast(result, "float32"),
        expected,
        rtol=tolerance,
        atol=tolerance * np.abs(expected).max(),
    )


@every_layer
@pytest.mark.parametrize(
    "policy", ["float32", "mixed_float16", "mixed_bfloat16"]
)
def test_an_empty_map_gives_finite_values_and_gradients(
    name, policy, gradients
):
    x = np.zeros_like(example_inputs(name))
    layer = LAYERS[name](dtype=policy)
    assert np.isfinite(keras.ops.cast(layer(x), "float32")).all()
    assert all(np.isfinite(g).all() for g in gradients(layer, x))


@every_layer
def test_gradients_reach_the_input_and_every_weight(name, gradients, randomize):
    layer = LAYERS[name]()
    x = example_inputs(name)
    layer.build(x.shape)
    randomize(layer)
    found = gradients(layer, x)
    assert len(found) == 1 + len(layer.trainable_variables)
    assert all(np.abs(gradient).max() > 0 for gradient in found)


@pytest.mark.parametrize("name", MAP_LAYERS)
@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="sizes are always known"
)
def test_one_graph_takes_every_map_size(name, randomize):
    tensorflow = pytest.importorskip("tensorflow")
    layer = MAP_LAYERS[name]()
    layer.build((None, *_input_shape(name)))
    randomize(layer)
    signature = [tensorflow.TensorSpec((None, *_input_shape(name)))]
    graph = tensorflow.function(layer, input_signature=signature)
    for sides in [(9, 6), (4, 13)]:
        x = example_inputs(name, 2, sides)
        np.testing.assert_allclose(graph(x), layer(x), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "name",
    sorted(LAYERS.keys() - {"frozen_batch_normalization", "l2_normalization"}),
)
def test_a_wrong_rank_is_refused(name):
    with pytest.raises(ValueError):
        LAYERS[name]()(np.ones((2, 3, CHANNELS), "float32"))


@pytest.mark.parametrize(
    "create, argument",
    [
        (lambda: layers.GeM(p=0.0), "p=0.0"),
        (lambda: layers.GeM(epsilon=0.0), "epsilon=0.0"),
        (lambda: layers.CroW(epsilon=-1.0), "epsilon=-1.0"),
        (lambda: layers.SCDA(connectivity=6), "connectivity=6"),
        (lambda: layers.RMAC(levels=0), "levels=0"),
        (lambda: layers.RMAC(levels=33), "levels=33"),
        (lambda: layers.RegionalAttention(levels=0), "levels=0"),
        (lambda: layers.RegionalAttention(levels=33), "levels=33"),
        (lambda: layers.RegionalAttention(filters=0), "filters=0"),
        (lambda: layers.PyramidAttention((2, 0)), r"sizes=\(2, 0\)"),
        (lambda: layers.PyramidAttention((2, 33)), r"sizes=\(2, 33\)"),
        (lambda: layers.PyramidAttention((1,) * 33), r"sizes=\(1, .*"),
        (lambda: layers.WeightedGeM(p=0.0), "p=0.0"),
        (lambda: layers.Regional("gem"), "pooling='gem'"),
        (lambda: layers.Regional(layers.MAC(), levels=0), "levels=0"),
        (lambda: layers.Regional(layers.MAC(), levels=33), "levels=33"),
        (lambda: layers.Regional(layers.MAC(), whitening=4), "whitening=4"),
        (lambda: layers.L2Normalization(0.0), "epsilon=0.0"),
        (lambda: layers.Whitening(0), "dimension=0"),
        (lambda: layers.CosineClassifier(1), "num_classes=1"),
        (lambda: layers.ChannelAttention(0), "reduction=0"),
        (lambda: layers.SpatialAttention(4), "kernel_size=4"),
        (lambda: layers.LocalAttention(0), "filters=0"),
        (lambda: layers.AttentivePooling(0), "filters=0"),
        (lambda: layers.CBAM(batch_norm="off"), "batch_norm='off'"),
        (lambda: layers.DownsamplingAttention(6), "filters=6"),
    ],
)
def test_a_wrong_argument_is_named(create, argument):
    with pytest.raises(ValueError, match=f"Received: {argument}$"):
        create()
