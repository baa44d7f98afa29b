"""The check of --strategy and --tpu, before anything slow begins.

The workers that TF_CONFIG names, checked before TensorFlow waits for them.

TensorFlow itself answers a slip in that variable with a KeyError, or by waiting
for a worker that will never come.

Whether a TPU that is elsewhere can be found and answers.
"""

import dataclasses
import importlib.util
import json
import os
import socket
import urllib.request
from typing import Any

import grpc

from agem_tf import native_output
from agem_tf.config import STRATEGIES
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
        _check_tpu(tpu or LOCAL)
    elif strategy == "multiworker":
        read_cluster()


def _check_tpu(tpu: str) -> None:
    if tpu.startswith(GRPC):
        check_answers(tpu, tpu)
    elif tpu != LOCAL:
        check_google_cloud(tpu)
    elif not native_output.is_tpu_attached():
        files = " nor ".join(native_output.TPU_DEVICE_FILES)
        raise UserError(
            f"--tpu={tpu}: this machine has no TPU (no {files}); "
            f"{_HOW_TO_GET_A_TPU}."
        )


VARIABLE = "TF_CONFIG"
_EXAMPLE = (
    "each worker needs the list of all and its own place in it, such as "
    'TF_CONFIG=\'{"cluster": {"worker": ["host0:12345", "host1:12345"]}, '
    '"task": {"type": "worker", "index": 0}}\''
)
_JOBS = ("chief", "worker")


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A checked TF_CONFIG.

    Attributes:
        workers: "host:port" of each worker, the chief first.
        index: position of this process among them.
    """

    workers: tuple[str, ...]
    index: int

    @property
    def others(self) -> list[str]:
        """The addresses of the other workers."""
        return [
            address
            for index, address in enumerate(self.workers)
            if index != self.index
        ]

    def check_port(self) -> None:
        """Checks that this worker can listen on its port.

        Raises:
            UserError: another program does.
        """
        port = int(self.workers[self.index].rpartition(":")[2])
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError as error:
                raise UserError(
                    f"Worker {self.index} can't listen on port {port} "
                    f"({error.strerror}); stop what does, or give each worker "
                    f"an index of its own in {VARIABLE}."
                ) from error


def is_configured() -> bool:
    """Whether TF_CONFIG is set."""
    return bool(os.environ.get(VARIABLE))


def read_cluster() -> Cluster:
    """Reads TF_CONFIG.

    Raises:
        UserError: it is missing, unfinished or contradicts itself.
    """
    if not is_configured():
        raise _fault("is not set")
    try:
        content = json.loads(os.environ[VARIABLE])
    except ValueError as error:
        raise _fault(f"is not JSON ({error})") from error
    addresses = _addresses(_member(content, "cluster"))
    task = _member(content, "task")
    job, index = task.get("type"), task.get("index")
    if job not in addresses:
        raise _fault(f"has the task type {job!r}, which its cluster lacks")
    if type(index) is not int or not 0 <= index < len(addresses[job]):
        raise _fault(
            f"has the task index {index!r}, but its cluster has "
            f"{len(addresses[job])} of type {job}"
        )
    workers = [each for job in _JOBS for each in addresses.get(job, ())]
    return Cluster(tuple(workers), workers.index(addresses[job][index]))


def _member(content: Any, name: str) -> dict[str, Any]:
    member = content.get(name) if isinstance(content, dict) else None
    if not isinstance(member, dict):
        raise _fault(f"has no {name!r}")
    return member


def _addresses(cluster: dict[str, Any]) -> dict[str, list[str]]:
    if not cluster or not set(cluster) <= set(_JOBS):
        raise _fault(
            f"names the jobs {', '.join(cluster) or 'none'}; known are "
            f"{' and '.join(_JOBS)}"
        )
    for job, addresses in cluster.items():
        if not addresses or not isinstance(addresses, list):
            raise _fault(f"lists no addresses for {job!r}")
    every = [address for job in cluster.values() for address in job]
    for address in every:
        if not _is_address(address):
            raise _fault(f"has the address {address!r}, not host:port")
        if every.count(address) > 1:
            raise _fault(f"names {address} twice")
    if len(cluster.get("chief", ())) > 1:
        raise _fault("names several chiefs")
    return cluster


def _is_address(address: Any) -> bool:
    if not isinstance(address, str):
        return False
    host, _, port = address.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65536


def _fault(what: str) -> UserError:
    return UserError(f"--strategy=multiworker: {VARIABLE} {what}; {_EXAMPLE}.")


GRPC = "grpc://"
SECONDS = 5
METADATA = "http://169.254.169.254/computeMetadata/v1/project/project-id"


def check_answers(tpu: str, address: str) -> None:
    """Checks that a gRPC server answers.

    Args:
        tpu: what the user calls it.
        address: "grpc://HOST:PORT".

    Raises:
        UserError: none answers within seconds.
    """
    target = address.removeprefix(GRPC)
    channel = grpc.insecure_channel(target)
    try:
        grpc.channel_ready_future(channel).result(timeout=SECONDS)
    except grpc.FutureTimeoutError as error:
        raise UserError(
            f"--tpu={tpu}: no TPU answers at {target} within {SECONDS} s; "
            "check its address and that it runs."
        ) from error
    finally:
        channel.close()


def check_google_cloud(tpu: str) -> None:
    """Checks that the name of a Google Cloud TPU can be looked up from here.

    Raises:
        UserError: Google's package is missing, or this is another place.
    """
    if importlib.util.find_spec("googleapiclient") is None:
        raise UserError(
            f"--tpu={tpu} is looked up through Google Cloud's API, which "
            "needs pip install cloud-tpu-client; or give "
            "--tpu=grpc://HOST:8470."
        )
    request = urllib.request.Request(
        METADATA, headers={"Metadata-Flavor": "Google"}
    )
    try:
        urllib.request.urlopen(request, timeout=SECONDS).close()
    except OSError as error:
        raise UserError(
            f"--tpu={tpu} can be looked up on Google Cloud only, whose "
            f"metadata server does not answer here ({error}); run the command "
            "there, or give --tpu=grpc://HOST:8470."
        ) from error


LOCAL = "local"
