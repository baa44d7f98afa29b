"""Global batches are divided among workers and replicas in order."""

import types

import numpy as np
import pytest
import tensorflow as tf

from agem_tf import config
from agem_tf.distribution.batches import check_recipe, distribute, gather
from agem_tf.errors import UserError


class Workers:
    """Stands in for a strategy of several workers of two replicas each.

    The real ones are processes of their own, see training/test_strategies.py.
    """

    def __init__(self, num_workers):
        self._num_workers = num_workers
        self.num_replicas_in_sync = 2 * num_workers

    def distribute_datasets_from_function(self, make):
        return [
            make(tf.distribute.InputContext(self._num_workers, worker))
            for worker in range(self._num_workers)
        ]


def batches(rows, share):
    return tf.data.Dataset.from_tensor_slices(rows).batch(share)


@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_the_shares_make_up_the_batch_of_one_device(num_workers):
    rows = np.arange(60).reshape(30, 2)
    workers = distribute(rows, 12, batches, Workers(num_workers))
    readers = [iter(dataset.as_numpy_iterator()) for dataset in workers]
    for step in range(2):
        shares = [next(reader) for reader in readers for _ in range(2)]
        assert len({len(share) for share in shares}) == 1
        expected = rows[12 * step : 12 * step + 12]
        np.testing.assert_array_equal(np.concatenate(shares), expected)
    # The six rows that are left make no whole batch.
    assert not any(list(reader) for reader in readers)


def test_no_rows_are_no_batches():
    (dataset,) = distribute(np.zeros((0, 3)), 4, batches, Workers(1))
    assert not list(dataset)


def strategy(replicas=1, static=False):
    extended = types.SimpleNamespace(experimental_require_static_shapes=static)
    return types.SimpleNamespace(
        num_replicas_in_sync=replicas, extended=extended
    )


@pytest.mark.parametrize(
    ("section", "field"),
    [("training", "batch_tuples"), ("extraction", "batch_size")],
)
def test_a_batch_that_does_not_divide_is_named(section, field):
    recipe = config.Config(image=config.ImageConfig())
    recipe.training.batch_tuples = recipe.extraction.batch_size = 12
    setattr(getattr(recipe, section), field, 7)
    message = f"{section}.{field}=7 does not .* 4 replicas; .* for example 8"
    with pytest.raises(UserError, match=message):
        check_recipe(recipe, strategy(4))
    check_recipe(recipe, strategy(1))


def test_parts_that_do_not_divide_are_named():
    recipe = config.Config()
    recipe.training.batch_tuples, recipe.training.accumulate_steps = 12, 4
    recipe.extraction.batch_size = 12
    check_recipe(recipe, strategy(3))
    message = "gives each of 2 replica.* 6 tuples, .*accumulate_steps=4 equal"
    with pytest.raises(UserError, match=message):
        check_recipe(recipe, strategy(2))


def test_photos_of_many_shapes_are_not_for_a_tpu():
    recipe = config.Config()
    recipe.image.resize = "aspect"
    with pytest.raises(UserError, match="take image.resize=square"):
        check_recipe(recipe, strategy(static=True))
    check_recipe(recipe, strategy())


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("precision", "mixed_float16", "computes in bfloat16"),
        ("jit_compile", True, "compiles every step"),
    ],
)
def test_settings_that_are_not_for_a_tpu_are_refused(field, value, message):
    recipe = config.Config(image=config.ImageConfig())
    setattr(recipe.training, field, value)
    with pytest.raises(UserError, match=message):
        check_recipe(recipe, strategy(static=True))
    check_recipe(recipe, strategy())


def test_xla_compiles_the_step_of_one_device_only():
    recipe = config.Config(image=config.ImageConfig())
    recipe.training.jit_compile = True
    with pytest.raises(UserError, match="this strategy has 2; .*one"):
        check_recipe(recipe, strategy(2))


def test_one_replica_gathers_its_own():
    values = tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    np.testing.assert_array_equal(gather(values), values)
