"""Global batches on several replicas: dividing them, gathering results.

Every worker reads its share of each batch. The shares of all replicas, in order
of workers and replicas, concatenate to the batch of one device.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from agem_tf.config import Config
from agem_tf.errors import UserError

# Makes batches from (rows, rows per batch), one replica's after the other's.
MakeDataset = Callable[[np.ndarray, int], tf.data.Dataset]


def check_recipe(config: Config, strategy: tf.distribute.Strategy) -> None:
    """Checks that a recipe can run under a strategy.

    Raises:
        UserError: A batch does not divide among the replicas, the shapes are
            not static, which a TPU needs, a setting is not for this strategy,
            or the TPU is on another machine.
    """
    if config.training.epochs:
        share_of_part(config, strategy.num_replicas_in_sync)
    per_replica(config.extraction.batch_size, strategy, "extraction.batch_size")
    if strategy.extended.experimental_require_static_shapes:
        check_for_tpu(config)
    if config.training.jit_compile and strategy.num_replicas_in_sync > 1:
        raise UserError(
            "training.jit_compile compiles the step of one device, and this "
            f"strategy has {strategy.num_replicas_in_sync}; set it to False, "
            "or give --strategy=one."
        )
    if (
        isinstance(strategy, tf.distribute.TPUStrategy)
        and strategy.cluster_resolver.master()
    ):
        raise UserError(
            "Photos are read on the machine that runs the command, and this "
            "TPU is on another; run the command there with --tpu=local."
        )


def check_for_tpu(config: Config) -> None:
    """Checks that a TPU can run a recipe.

    Raises:
        UserError: Photos keep their proportions and are not padded, so that
            shapes are not static, or a setting is not for TPUs.
    """
    if config.training.precision == "mixed_float16":
        raise UserError(
            "A TPU computes in bfloat16; set training.precision to "
            "mixed_bfloat16 instead of mixed_float16."
        )
    if config.training.jit_compile:
        raise UserError(
            "A TPU compiles every step; leave training.jit_compile False."
        )
    if config.image.resize != "square" and not config.image.buckets:
        raise UserError(
            f"image.resize={config.image.resize} gives photos of many shapes, "
            "and a TPU compiles one program per shape; set image.buckets to a "
            "few canvases, or take image.resize=square."
        )


def share_of_part(config: Config, replicas: int) -> int:
    """Returns the tuples that a replica computes at a time in training.

    Raises:
        UserError: The batch does not divide among the replicas and the parts
            that they accumulate.
    """
    parts = config.training.accumulate_steps
    name = "training.batch_tuples"
    share = divide_batch(config.training.batch_tuples, replicas, name)
    if share % parts:
        raise UserError(
            f"{name}={config.training.batch_tuples} gives each of {replicas} "
            f"replica(s) {share} tuples, which do not divide into "
            f"training.accumulate_steps={parts} equal parts; take "
            f"training.accumulate_steps={share} or another divisor of {share}."
        )
    return share // parts


def per_replica(
    batch_size: int, strategy: tf.distribute.Strategy, name: str = "a batch"
) -> int:
    """Returns the share of one replica of a strategy; see `divide_batch`."""
    return divide_batch(batch_size, strategy.num_replicas_in_sync, name)


def divide_batch(batch_size: int, replicas: int, name: str) -> int:
    """Returns the share of one replica of a global batch.

    Args:
        batch_size: Size of the batch.
        replicas: Number of replicas.
        name: Name of the batch size in the recipe, for the message.

    Raises:
        UserError: The batch does not divide among the replicas.
    """
    if batch_size % replicas:
        fitting = replicas * -(-batch_size // replicas)
        raise UserError(
            f"{name}={batch_size} does not divide among {replicas} replicas; "
            f"take a multiple, for example {fitting}."
        )
    return batch_size // replicas


def distribute(
    rows: np.ndarray,
    batch_size: int,
    make_dataset: MakeDataset,
    strategy: tf.distribute.Strategy,
) -> tf.distribute.DistributedDataset:
    """Distributes the batches of `rows` among the replicas.

    Args:
        rows: Rows in order; an incomplete last batch is dropped.
        batch_size: Rows per global batch.
        make_dataset: Called once per worker, with its rows.
        strategy: Strategy of the replicas.
    """
    share = per_replica(batch_size, strategy)
    count = len(rows) // batch_size
    batches = rows[: count * batch_size].reshape(
        count, batch_size, *rows.shape[1:]
    )

    def make(context: tf.distribute.InputContext) -> tf.data.Dataset:
        parts = np.split(batches, context.num_input_pipelines, axis=1)
        own = parts[context.input_pipeline_id]
        return make_dataset(own.reshape(-1, *rows.shape[1:]), share)

    return strategy.distribute_datasets_from_function(make)


def gather(values: tf.Tensor) -> tf.Tensor:
    """Concatenates the replicas' values, inside a replica.

    It sums arrays in which each replica has filled its own place: unlike the
    all-gather of tf.distribute, the shapes of this and of its gradient are
    static, as a TPU needs. The gradient of a replica's values is the sum of the
    gradients from all replicas.

    Args:
        values: (batch, ...) floats, equal in shape on all replicas.

    Returns:
        (replicas * batch, ...) floats, the same on every replica.
    """
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    if replicas == 1:
        return values
    place = tf.one_hot(
        context.replica_id_in_sync_group, replicas, dtype=values.dtype
    )
    places = context.all_reduce(
        tf.distribute.ReduceOp.SUM, tf.tensordot(place, values, axes=0)
    )
    return tf.reshape(places, (-1, *values.shape[1:]))
