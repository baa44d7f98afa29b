"""The term of the loss that holds descriptors near those before training."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from agem_tf.config import validate
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.errors import UserError
from agem_tf.training import job
from agem_tf.training.start_distance import LossNearStart


def test_the_distance_is_summed_over_tuples_and_averaged_over_photos():
    # Squared distances of the photos: 0.4, 0 and 2; 4, 0 and 0.
    now = [[[0.8, 0.6], [1, 0], [1, 0]], [[-1, 0], [0, 1], [1, 0]]]
    start = [[[1, 0], [1, 0], [0, 1]], [[1, 0], [0, 1], [1, 0]]]
    loss = LossNearStart(lambda outputs, batch: tf.constant(7.0), weight=3.0)
    outputs = {
        "descriptors": tf.constant(now, tf.float32),
        "start_descriptors": tf.constant(start, tf.float32),
    }
    expected = 7 + 3 * ((0.4 + 0 + 2) / 3 + 4 / 3)
    np.testing.assert_allclose(loss(outputs, {}), expected, rtol=1e-6)


def test_the_start_has_no_gradient():
    now, start = tf.constant([[[1.0, 0.0]]]), tf.constant([[[0.0, 1.0]]])
    loss = LossNearStart(lambda outputs, batch: tf.constant(0.0), weight=0.5)
    with tf.GradientTape() as tape:
        tape.watch([now, start])
        value = loss({"descriptors": now, "start_descriptors": start}, {})
    of_now, of_start = tape.gradient(value, [now, start])
    np.testing.assert_allclose(of_now, [[[1.0, -1.0]]], rtol=1e-6)
    assert of_start is None


@pytest.mark.parametrize(
    "settings",
    [{}, {"remat": True, "accumulate_steps": 2}, {"rescale": (1.0, 0.75)}],
)
def test_a_large_weight_keeps_descriptors_in_place(
    make_shallow_recipe, tmp_path, settings
):
    def moved(weight):
        recipe = make_shallow_recipe()
        recipe.data.test_split = "test"
        recipe.loss.start_weight = weight
        recipe.training = dataclasses.replace(recipe.training, **settings)
        workdir = tmp_path / str(weight)
        job.run_recipe(recipe, workdir)
        before, after = (
            DescriptorSet.load(workdir / "descriptors" / stage / "test")
            for stage in ("untrained", "trained")
        )
        return np.linalg.norm(
            after.descriptors - before.descriptors, axis=1
        ).mean()

    free, held = moved(0.0), moved(1000.0)
    assert 0 < held < free / 2


def test_pooled_features_without_a_norm_are_refused(recipe):
    recipe.model.pooling, recipe.loss.name = "attentive", "softmax"
    recipe.loss.start_weight = 1.0
    with pytest.raises(UserError, match=r"loss\.start_weight holds L2-norm"):
        validate(recipe)
