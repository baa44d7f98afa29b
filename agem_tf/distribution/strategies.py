"""Creation of tf.distribute strategies by name."""

import logging

import tensorflow as tf

from agem_tf import native_output
from agem_tf.distribution import preemption, preflight
from agem_tf.distribution.preflight import check_devices
from agem_tf.errors import UserError, cause

_LOG = logging.getLogger(__name__)


def create_strategy(
    name: str = "auto", tpu_address: str = ""
) -> tf.distribute.Strategy:
    """Returns the strategy called `name`, and logs the choice.

    "multiworker" must be created before TensorFlow runs anything else.

    Args:
        name: "one" for a single device (a GPU if there is one), "mirrored" for
            every local GPU (or every logical CPU where there is no GPU),
            "multiworker" for the machines that TF_CONFIG names, "tpu"; "auto"
            for a TPU if there is one, else the machines of a TF_CONFIG, else
            all GPUs, else the CPU.
        tpu_address: See `check_devices`; "local" by default.

    Raises:
        UserError: The name is unknown, or its devices are not available.
    """
    check_devices(name, tpu_address)
    _report_unusable_gpu()
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
    if tpu_address or (native_output.is_tpu_attached() and supports_tpus()):
        return "tpu"
    if preflight.is_configured() and len(preflight.read_cluster().workers) > 1:
        return "multiworker"
    return "mirrored" if len(_gpus()) > 1 else "one"


def _create(name: str, tpu_address: str) -> tf.distribute.Strategy:
    if name == "tpu":
        return connect_tpu(tpu_address)
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
        ", ".join(workers.others) or "none",
    )
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError) as error:
        raise UserError(
            f"The workers {', '.join(workers.workers)} can't connect: "
            f"{cause(error)}"
        ) from error
    preemption.defer_for_workers()
    return strategy


def _report_unusable_gpu() -> None:
    """Warns if the machine has a GPU that TensorFlow can't use."""
    with native_output.captured() as lines:
        gpus = tf.config.list_physical_devices("GPU")
    if gpus or not native_output.is_gpu_offered():
        return
    _LOG.warning(
        "TensorFlow can't use this machine's GPU, usually because NVIDIA's "
        "driver or libraries are missing; the CPU is used. Run: pip install "
        "'tensorflow[and-cuda]'%s",
        f" ({lines[-1]})" if lines else "",
    )


def _gpus() -> list[tf.config.LogicalDevice]:
    # Without a GPU, CUDA writes complaints to stderr.
    with native_output.captured():
        return tf.config.list_logical_devices("GPU")


def supports_tpus() -> bool:
    """Whether this TensorFlow supports a TPU of this machine."""
    return bool(tf.config.list_physical_devices("TPU_SYSTEM"))


def connect_tpu(tpu: str = preflight.LOCAL) -> tf.distribute.TPUStrategy:
    """Starts a TPU and returns its strategy.

    Args:
        tpu: See `check_devices`, which has passed.

    Raises:
        UserError: It does not answer, or this TensorFlow does not support it.
    """
    if tpu == preflight.LOCAL and not supports_tpus():
        raise UserError(
            f"--tpu={tpu}: TensorFlow {tf.__version__}, as installed here, "
            "does not support TPUs; pip install -r requirements-tpu.txt into "
            "another environment."
        )
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu)
        address = resolver.master()
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"--tpu={tpu} was not found: {cause(error)}") from error
    # A name may stand for a TPU that is switched off.
    if tpu != preflight.LOCAL:
        preflight.check_answers(tpu, address)
    try:
        with native_output.captured():
            tf.config.experimental_connect_to_cluster(resolver)
            tf.tpu.experimental.initialize_tpu_system(resolver)
            return tf.distribute.TPUStrategy(resolver)
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise UserError(
            f"--tpu={tpu} does not start: {cause(error)}"
        ) from error
