"""Global batches on several replicas: dividing them, gathering their results.

Every worker reads its own share of each batch, in an order in which replica
after replica, worker after worker, make up the batch of one device.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from agem_tf.config import Config
from agem_tf.errors import UserError

# Makes the batches of one replica after another: (rows, rows a batch).
MakeDataset = Callable[[np.ndarray, int], tf.data.Dataset]


def check_recipe(config: Config, strategy: tf.distribute.Strategy) -> None:
    """Checks that a recipe can run under a strategy.

    Raises:
        UserError: a batch does not divide among the replicas, the shapes are
            not what a TPU needs, or the TPU can't be given photos.
    """
    if config.training.epochs:
        per_replica(
            config.training.batch_tuples, strategy, "training.batch_tuples"
        )
    per_replica(config.extraction.batch_size, strategy, "extraction.batch_size")
    if strategy.extended.experimental_require_static_shapes:
        check_static_shapes(config)
    if (
        isinstance(strategy, tf.distribute.TPUStrategy)
        and strategy.cluster_resolver.master()
    ):
        raise UserError(
            "Photos are read on the machine that runs the command, and this "
            "TPU is on another; run the command there with --tpu=local."
        )


def check_static_shapes(config: Config) -> None:
    """Checks that a compiler for static shapes can take a recipe.

    Raises:
        UserError: photos come in as many shapes as there are.
    """
    if config.image.resize != "square" and not config.image.buckets:
        raise UserError(
            f"image.resize={config.image.resize} gives photos of many shapes, "
            "and a TPU compiles a program for each; name a few canvases with "
            "image.buckets, or take image.resize=square."
        )


def per_replica(
    batch_size: int, strategy: tf.distribute.Strategy, name: str = "a batch"
) -> int:
    """Divides a global batch among the replicas of a strategy; see `divide`."""
    return divide(batch_size, strategy.num_replicas_in_sync, name)


def divide(batch_size: int, replicas: int, name: str) -> int:
    """Divides a global batch, that the recipe calls `name`.

    Raises:
        UserError: it does not divide among the replicas.
    """
    if batch_size % replicas:
        fitting = replicas * -(-batch_size // replicas)
        raise UserError(
            f"{name}={batch_size} does not divide among {replicas} replicas; "
            f"take a multiple such as {fitting}."
        )
    return batch_size // replicas


def distribute(
    rows: np.ndarray,
    batch_size: int,
    make_dataset: MakeDataset,
    strategy: tf.distribute.Strategy,
) -> tf.distribute.DistributedDataset:
    """Feeds the replicas with the batches of `rows`.

    Args:
        rows: what is read, in order; an incomplete last batch is dropped.
        batch_size: rows a global batch.
        make_dataset: called once a worker, with its rows.
        strategy: whose replicas are fed.
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

    A sum in which each replica fills its own place: unlike the all-gather of
    tf.distribute its shapes are static in both directions, as a TPU needs. The
    gradient of a replica's values is the sum over what all replicas made of
    them.

    Args:
        values: (batch, ...) floats, equal in shape on all replicas.

    Returns:
        (replicas * batch, ...), the same on every replica of every worker.
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
