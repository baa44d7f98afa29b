"""Connecting to a TPU."""

import tensorflow as tf

from agem_tf import native_output
from agem_tf.devices import network, tpus
from agem_tf.distribution.causes import cause
from agem_tf.errors import UserError


def is_supported() -> bool:
    """Whether this TensorFlow can drive a TPU of this machine."""
    return bool(tf.config.list_physical_devices("TPU_SYSTEM"))


def connect(tpu: str = tpus.LOCAL) -> tf.distribute.TPUStrategy:
    """Starts a TPU and returns its strategy.

    Args:
        tpu: see `check_devices`, which has passed.

    Raises:
        UserError: it does not answer, or this TensorFlow can't drive it.
    """
    if tpu == tpus.LOCAL and not is_supported():
        raise UserError(
            f"--tpu={tpu}: TensorFlow {tf.__version__}, as it is installed "
            "here, can't drive TPUs; pip install -r requirements-tpu.txt into "
            "an environment of its own."
        )
    resolver = _find(tpu)
    try:
        with native_output.captured():
            tf.config.experimental_connect_to_cluster(resolver)
            tf.tpu.experimental.initialize_tpu_system(resolver)
            return tf.distribute.TPUStrategy(resolver)
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise UserError(
            f"--tpu={tpu} does not start: {cause(error)}"
        ) from error


def _find(tpu: str) -> tf.distribute.cluster_resolver.TPUClusterResolver:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu)
        address = resolver.master()
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"--tpu={tpu} was not found: {cause(error)}") from error
    # What a name stands for may be switched off.
    if tpu != tpus.LOCAL:
        network.check_answers(tpu, address)
    return resolver
