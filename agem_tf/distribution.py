"""On which devices a model runs.

The rest of the package only sees a tf.distribute strategy and the number of
its replicas; batch sizes in recipes are global.
"""

import tensorflow as tf

from agem_tf.errors import UserError


def create_strategy(name: str = "auto") -> tf.distribute.Strategy:
    """Returns the strategy called `name`.

    Args:
        name: "one" for a single device (a GPU if there is one), "mirrored" for
            every local GPU (or every logical CPU where there is no GPU), "auto"
            for "mirrored" on several GPUs and "one" elsewhere.

    Raises:
        UserError: an unknown name.
    """
    gpus = tf.config.list_logical_devices("GPU")
    if name == "auto":
        name = "mirrored" if len(gpus) > 1 else "one"
    if name == "one":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        devices = gpus or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([d.name for d in devices])
    raise UserError(
        f"Unknown strategy {name!r}; known are auto, one, mirrored."
    )


def per_replica(batch_size: int, strategy: tf.distribute.Strategy) -> int:
    """Divides a global batch among the replicas.

    Raises:
        UserError: it does not divide.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise UserError(
            f"A global batch of {batch_size} does not divide among {replicas} "
            "replicas; take a multiple."
        )
    return batch_size // replicas


def distribute(
    dataset: tf.data.Dataset, strategy: tf.distribute.Strategy
) -> tf.distribute.DistributedDataset:
    """Splits every global batch of `dataset` among the replicas, in order."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    return strategy.experimental_distribute_dataset(
        dataset.with_options(options)
    )


def gather(values: object, strategy: tf.distribute.Strategy) -> tf.Tensor:
    """Concatenates per-replica values along the batch, in replica order."""
    return tf.concat(strategy.experimental_local_results(values), axis=0)
