"""Coordination of several workers: barriers, agreement, the chief.

All workers run the same program on the same files. Only the chief writes, and
the others read its files, so the workdir must be on a shared file system.
"""

import contextlib
import hashlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from agem_tf.errors import UserError


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

    Workers may round the same computation differently, and may read the same
    file at different times.

    Args:
        values: Numbers, equal in shape and type on all workers.
        strategy: Strategy of all workers.
    """
    if not _has_workers(strategy):
        return values
    results = strategy.run(_of_first_replica, args=(tf.constant(values),))
    return strategy.experimental_local_results(results)[0].numpy()


# One function for all calls: a function per call would be traced again by each.
@tf.function
def _of_first_replica(own: tf.Tensor) -> tf.Tensor:
    context = tf.distribute.get_replica_context()
    is_first = tf.equal(context.replica_id_in_sync_group, 0)
    return context.all_reduce(
        tf.distribute.ReduceOp.SUM,
        tf.where(is_first, own, tf.zeros_like(own)),
    )


def barrier(strategy: tf.distribute.Strategy) -> None:
    """Blocks until all workers reach this call."""
    from_chief(np.zeros(1, np.float32), strategy)


def check_agreement(
    what: str, value: str, strategy: tf.distribute.Strategy
) -> None:
    """Checks that all workers have the same `value`; all must call it.

    Args:
        what: Name of the value, for the message.
        value: The value of this worker.
        strategy: Strategy of all workers.

    Raises:
        UserError: The chief has another value.
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
    """Runs a block on the chief, then on the others, which find its files."""
    chief = is_chief(strategy)
    if not chief:
        barrier(strategy)
    yield
    if chief:
        barrier(strategy)


def _has_workers(strategy: tf.distribute.Strategy) -> bool:
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
