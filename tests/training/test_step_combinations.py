"""The ways to compute a step train together."""

import csv

import pytest
from tensorflow.python.framework import config as tensorflow_config

from agem_tf.config import loading
from agem_tf.training import job

WAYS = (
    "training.precision=mixed_float16",
    "training.remat=True",
    "training.accumulate_steps=2",
    "optimizer.average=0.9",
)


@pytest.fixture(scope="module")
def losses(make_shallow_recipe, tmp_path_factory):
    """Returns a function that trains and returns the loss of each step."""

    def train(*ways):
        recipe = make_shallow_recipe()
        recipe.training.epochs = 1
        recipe.training.log_steps = 1
        workdir = tmp_path_factory.mktemp("run")
        try:
            job.run_recipe(loading.override_recipe(recipe, ways), workdir)
        finally:
            # A setting of the whole process.
            tensorflow_config.disable_op_determinism()
        with (workdir / "steps.csv").open() as file:
            return [float(row["loss"]) for row in csv.DictReader(file)]

    return train


@pytest.fixture(scope="module")
def expected(losses):
    return losses()


# Not both: XLA has no deterministic gradient of max pooling.
@pytest.mark.parametrize(
    "last", ["training.jit_compile=True", "training.deterministic=True"]
)
def test_all_ways_to_compute_a_step_give_its_numbers(losses, expected, last):
    actual = losses(*WAYS, last)
    # Later steps make more of every rounding.
    assert actual[0] == pytest.approx(expected[0], rel=2e-2)
    assert actual == pytest.approx(expected, rel=0.1)
