"""Runs as later commands open them."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from agem_tf.config import Config, ImageConfig, ModelConfig
from agem_tf.errors import UserError
from agem_tf.models import AGeM
from agem_tf.training import runs
from agem_tf.training.workdir import BEST_MODEL, claim_workdir


def test_a_file_without_precision_takes_that_of_its_recipe(tmp_path):
    config = Config(
        model=ModelConfig("resnet18_torch", weights=None, attention="none")
    )
    config.training.precision = "mixed_bfloat16"
    claim_workdir(tmp_path, config, "")
    model = AGeM(**dataclasses.asdict(config.model))
    runs.save_model(model, tmp_path / BEST_MODEL)
    opened = runs.open_run(tmp_path, tf.distribute.get_strategy()).model
    assert opened.get_config()["dtype"] == "mixed_bfloat16"
    assert opened.get_layer("conv1_conv").compute_dtype == "bfloat16"
    for one, other in zip(opened.weights, model.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_run_with_canvases_is_extracted_at_another_size(tmp_path):
    image = ImageConfig(
        64, resize="aspect", buckets=((64, 64), (32, 64), (64, 32))
    )
    config = Config(
        image=image,
        model=ModelConfig("resnet18_torch", weights=None, attention="none"),
    )
    model = AGeM(**dataclasses.asdict(config.model))
    run = runs.Run(config, model).with_settings(image_size=96)
    assert run.config.image.size == 96
    assert run.config.image.buckets == ((96, 96), (64, 96), (96, 64))
    assert config.image == image


def test_a_run_is_extracted_whatever_its_training_was(tmp_path):
    config = Config(image=ImageConfig(64, resize="aspect"))
    # Canvases of the run's size, and what earlier versions did not refuse.
    config.extraction.mining.buckets = ((64, 64),)
    config.model.whitening_dimension = 8
    config.extraction.whitening = "learned"
    run = runs.Run(config, None).with_settings((0.5,), image_size=96)
    assert run.config.image.size == 96
    assert run.config.extraction.scales == (0.5,)
    with pytest.raises(UserError, match="image.size must be at least 32"):
        run.with_settings(image_size=8)
