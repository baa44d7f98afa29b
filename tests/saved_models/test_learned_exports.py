"""A model with a learned pooling is saved and exported as it is."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from agem_tf.config import ExtractionConfig, ImageConfig
from agem_tf.models import AGeM
from agem_tf.saved_models.retrieval_model import export_model


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(
    "pooling", ["weighted_gem", "regional_attention", "pyramid_attention"]
)
def test_a_learned_pooling_is_exported(pooling, dtype, tmp_path):
    keras.utils.set_random_seed(0)
    model = AGeM(
        "vgg16",
        feature_map="C2",
        attention="none",
        pooling=pooling,
        dtype=dtype,
    )
    rng = np.random.default_rng(2)
    for weight in model.get_layer("pooling").weights:
        if weight.name != "p":
            weight.assign(rng.normal(0, 0.1, weight.shape))
    images = rng.uniform(0, 255, (2, 40, 24, 3)).astype(np.float32)
    expected = model(images)
    assert expected.dtype == tf.float32
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(images), expected, atol=1e-5)
    path = export_model(
        model,
        tmp_path / "exported",
        ImageConfig(size=40, resize="aspect"),
        ExtractionConfig(),
    )
    exported = tf.saved_model.load(str(path))
    np.testing.assert_allclose(
        exported(images),
        expected,
        atol=1e-5 if dtype == "float32" else 2e-2,
    )
