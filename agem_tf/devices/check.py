"""The check of --strategy and --tpu, before anything slow begins."""

from agem_tf.config import STRATEGIES
from agem_tf.devices import network, tpus
from agem_tf.devices.cluster import read_cluster
from agem_tf.errors import UserError

_HOW_TO_GET_A_TPU = (
    "run on a TPU virtual machine, name a TPU with --tpu=NAME or "
    "--tpu=grpc://HOST:8470, or take --strategy=auto"
)


def check_devices(strategy: str, tpu: str = "") -> None:
    """Checks that what a strategy runs on is there.

    Args:
        strategy: one of `config.STRATEGIES`.
        tpu: "local" for the TPU of this machine, the name of a Google Cloud
            TPU, "grpc://HOST:PORT", or empty if none is asked for.

    Raises:
        UserError: an unknown name, a TPU that is missing or does not answer, an
            unfinished TF_CONFIG; with what to do about it.
    """
    if strategy not in STRATEGIES:
        raise UserError(
            f"Unknown strategy {strategy!r}; known are {', '.join(STRATEGIES)}."
        )
    if tpu and strategy not in ("auto", "tpu"):
        raise UserError(
            f"--tpu={tpu} goes with --strategy=tpu or auto, not with "
            f"--strategy={strategy}."
        )
    if tpu or strategy == "tpu":
        _check_tpu(tpu or tpus.LOCAL)
    elif strategy == "multiworker":
        read_cluster()


def _check_tpu(tpu: str) -> None:
    if tpu.startswith(network.GRPC):
        network.check_answers(tpu, tpu)
    elif tpu != tpus.LOCAL:
        network.check_google_cloud(tpu)
    elif not tpus.are_attached():
        raise UserError(
            f"--tpu={tpu}: this machine has no TPU (no "
            f"{' nor '.join(tpus.DEVICE_FILES)}); {_HOW_TO_GET_A_TPU}."
        )
