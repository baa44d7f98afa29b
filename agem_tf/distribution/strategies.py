"""From the name of a strategy to the strategy, and the line that says which.

Connecting to a TPU.
"""

import logging

import tensorflow as tf

from agem_tf import native_output
from agem_tf.distribution import preflight
from agem_tf.distribution.preflight import check_devices
from agem_tf.errors import UserError, cause

_LOG = logging.getLogger(__name__)


def create_strategy(
    name: str = "auto", tpu_address: str = ""
) -> tf.distribute.Strategy:
    """Returns the strategy called `name`, and logs what it came to.

    Several workers must be asked for before TensorFlow runs anything else.

    Args:
        name: "one" for a single device (a GPU if there is one), "mirrored" for
            every local GPU (or every logical CPU where there is no GPU),
            "multiworker" for the machines that TF_CONFIG names, "tpu"; "auto"
            for a TPU if there is one, else the machines of a TF_CONFIG, else
            all GPUs, else the CPU.
        tpu_address: see `check_devices`; "local" by default.

    Raises:
        UserError: an unknown name, or what it names is not there.
    """
    check_devices(name, tpu_address)
    chosen = _choose(tpu_address) if name == "auto" else name
    strategy = _create(chosen, tpu_address or preflight.LOCAL)
    _LOG.info(
        "Strategy %s%s: %d replica(s) on %s",
        chosen,
        ", chosen by auto" if name == "auto" else "",
        strategy.num_replicas_in_sync,
        "TPU" if chosen == "tpu" else "GPU" if _gpus() else "CPU",
    )
    return strategy


def _choose(tpu_address: str) -> str:
    if tpu_address or (native_output.is_tpu_attached() and is_supported()):
        return "tpu"
    if preflight.is_configured() and len(preflight.read_cluster().workers) > 1:
        return "multiworker"
    return "mirrored" if len(_gpus()) > 1 else "one"


def _create(name: str, tpu_address: str) -> tf.distribute.Strategy:
    if name == "tpu":
        return connect(tpu_address)
    if name == "multiworker":
        return _connect_workers()
    if name == "mirrored":
        devices = _gpus() or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([d.name for d in devices])
    return tf.distribute.get_strategy()


def _connect_workers() -> tf.distribute.MultiWorkerMirroredStrategy:
    workers = preflight.read_cluster()
    workers.check_port()
    _LOG.info(
        "Worker %d of %d (worker 0 is the chief); waiting for %s",
        workers.index,
        len(workers.workers),
        ", ".join(workers.others) or "nobody",
    )
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError) as error:
        raise UserError(
            f"The workers {', '.join(workers.workers)} do not come together: "
            f"{cause(error)}"
        ) from error


def _gpus() -> list[tf.config.LogicalDevice]:
    # Without a GPU, CUDA complains past Python.
    with native_output.captured():
        return tf.config.list_logical_devices("GPU")


def is_supported() -> bool:
    """Whether this TensorFlow can drive a TPU of this machine."""
    return bool(tf.config.list_physical_devices("TPU_SYSTEM"))


def connect(tpu: str = preflight.LOCAL) -> tf.distribute.TPUStrategy:
    """Starts a TPU and returns its strategy.

    Args:
        tpu: see `check_devices`, which has passed.

    Raises:
        UserError: it does not answer, or this TensorFlow can't drive it.
    """
    if tpu == preflight.LOCAL and not is_supported():
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
    if tpu != preflight.LOCAL:
        preflight.check_answers(tpu, address)
    return resolver
