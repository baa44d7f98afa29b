"""What several workers must agree on, and what only their chief does.

All workers run the same program on the same files. The chief writes; the others
read what it has written, so the workdir stands on a file system that all see.
"""

import contextlib
import hashlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from agem_tf.errors import UserError, cause


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the files."""
    if not _has_workers(strategy):
        return True
    resolver = strategy.cluster_resolver
    return resolver.task_type == "chief" or (
        resolver.task_id == 0 and "chief" not in resolver.cluster_spec().jobs
    )


def from_chief(
    values: np.ndarray, strategy: tf.distribute.Strategy
) -> np.ndarray:
    """Returns the chief's `values`; all workers must call it.

    Workers that compute the same may round differently, and workers that look
    at the same file may do so at different moments.

    Args:
        values: numbers, equal in shape and type on all workers.
        strategy: of all workers.
    """
    if not _has_workers(strategy):
        return values
    sent = tf.constant(values)

    @tf.function
    def replica_values() -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        is_first = tf.equal(context.replica_id_in_sync_group, 0)
        return context.all_reduce(
            tf.distribute.ReduceOp.SUM,
            tf.where(is_first, sent, tf.zeros_like(sent)),
        )

    results = strategy.run(replica_values)
    return strategy.experimental_local_results(results)[0].numpy()


def barrier(strategy: tf.distribute.Strategy) -> None:
    """Returns when every worker has come here."""
    from_chief(np.zeros(1, np.float32), strategy)


def check_agreement(
    what: str, value: str, strategy: tf.distribute.Strategy
) -> None:
    """Checks that all workers have the same `value`; all must call it.

    Raises:
        UserError: the chief has another one of `what`.
    """
    digest = hashlib.sha256(value.encode()).digest()
    own = np.frombuffer(digest, np.int32)
    if (from_chief(own, strategy) != own).any():
        raise UserError(
            f"This worker's {what} is not the chief's; start all workers with "
            "the same command, and a --workdir that all see."
        )


@contextlib.contextmanager
def chief_first(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Runs a block on the chief, and then on the others.

    The others find what the chief has written.
    """
    chief = is_chief(strategy)
    if not chief:
        barrier(strategy)
    yield
    if chief:
        barrier(strategy)


@contextlib.contextmanager
def lost_workers_named(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Turns the failure of a collective operation into its cause.

    TensorFlow notices a worker that died by its connection, or after the ten
    seconds that its heartbeat may be silent.

    Raises:
        UserError: another worker, or the TPU, has gone.
    """
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
        if strategy.num_replicas_in_sync == 1:
            raise
        who = "Another worker" if _has_workers(strategy) else "The TPU"
        raise UserError(
            f"{who} has stopped ({cause(error)}); start all again with the "
            "same command, it goes on from the last checkpoint."
        ) from error


def _has_workers(strategy: tf.distribute.Strategy) -> bool:
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
