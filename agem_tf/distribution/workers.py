"""Coordination of several workers: barriers, agreement, the chief.

All workers run the same program on the same files. Only the chief writes, and
the others read its files, so the workdir must be on a shared file system.

A SIGTERM to any worker ends all of them, in the first collective after it that
passes it on: a call of the training step, a batch of extraction, or any
function of this module.
"""

import contextlib
import hashlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from agem_tf.distribution import preemption
from agem_tf.errors import UserError


def has_workers(strategy: tf.distribute.Strategy) -> bool:
    """Whether there are other processes that run the same program."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the files."""
    if not has_workers(strategy):
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

    Raises:
        SystemExit: A worker has received SIGTERM.
    """
    if not has_workers(strategy):
        return values
    results, stop = strategy.run(
        _of_first_replica,
        args=(tf.constant(values), tf.constant(preemption.requested())),
    )
    if strategy.experimental_local_results(stop)[0]:
        preemption.end()
    return strategy.experimental_local_results(results)[0].numpy()


# One function for all calls: a function per call would be traced again by each.
@tf.function(reduce_retracing=True)
def _of_first_replica(
    own: tf.Tensor, stop: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    context = tf.distribute.get_replica_context()
    is_first = tf.equal(context.replica_id_in_sync_group, 0)
    first, stops = context.all_reduce(
        tf.distribute.ReduceOp.SUM,
        [tf.where(is_first, own, tf.zeros_like(own)), tf.cast(stop, own.dtype)],
    )
    return first, stops > 0


def agreed_stop(any_worker: bool, strategy: tf.distribute.Strategy) -> bool:
    """Returns whether to stop; the answer is the same on all workers.

    Args:
        any_worker: Whether any worker had received SIGTERM, as a collective
            of all has found. A process without workers answers for itself.
        strategy: Strategy of all workers.
    """
    if has_workers(strategy):
        return any_worker
    return preemption.requested()


def barrier(strategy: tf.distribute.Strategy) -> None:
    """Blocks until all workers reach this call."""
    from_chief(np.zeros(1, np.float32), strategy)


def barrier_after_work(strategy: tf.distribute.Strategy) -> None:
    """As `barrier`, where the files of this worker's work are complete.

    A worker that ends right after it closes its connections, sometimes before
    the others have received its last message. A worker that has failed is
    reported by the next collective.
    """
    with contextlib.suppress(tf.errors.UnavailableError):
        barrier(strategy)


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
    if not is_chief(strategy):
        barrier(strategy)
        yield
        return
    try:
        with preemption.immediate():
            yield
    except SystemExit:
        # The others wait in their barrier, and end with this worker.
        barrier(strategy)
        raise
    barrier_after_work(strategy)
