"""Checks of --strategy and --tpu before anything slow begins.

They need no TensorFlow. It would answer a mistake in TF_CONFIG with a KeyError
or by waiting for a worker that never starts, and a wrong address of a TPU after
minutes.
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

# --tpu: a TPU of this machine, or the start of the address of another.
LOCAL = "local"
GRPC = "grpc://"
# Google Cloud's metadata server answers only inside Google Cloud.
METADATA = "http://169.254.169.254/computeMetadata/v1/project/project-id"
# How long an answer over the network may take.
SECONDS = 5

VARIABLE = "TF_CONFIG"
_JOBS = ("chief", "worker")


def check_devices(strategy: str, tpu: str = "") -> None:
    """Checks that the devices of a strategy are available.

    Args:
        strategy: One of `config.STRATEGIES`.
        tpu: "local" for the TPU of this machine, the name of a Google Cloud
            TPU, "grpc://HOST:PORT", or empty for none.

    Raises:
        UserError: An unknown name, a TPU that is missing or does not answer, or
            a mistake in TF_CONFIG; the message says what to do.
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
        tpu = tpu or LOCAL
        if tpu.startswith(GRPC):
            check_answers(tpu, tpu)
        elif tpu != LOCAL:
            _check_google_cloud(tpu)
        elif not native_output.is_tpu_attached():
            files = " nor ".join(native_output.TPU_DEVICE_FILES)
            raise UserError(
                f"--tpu={tpu}: this machine has no TPU (no {files}); run on a "
                "TPU virtual machine, name a TPU with --tpu=NAME or "
                "--tpu=grpc://HOST:8470, or take --strategy=auto."
            )
    elif strategy == "multiworker":
        read_cluster()


def check_answers(tpu: str, address: str) -> None:
    """Checks that a gRPC server answers.

    Args:
        tpu: The value of --tpu, for the message.
        address: "grpc://HOST:PORT".

    Raises:
        UserError: No server answers within seconds.
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


def _check_google_cloud(tpu: str) -> None:
    """Checks that the name of a Google Cloud TPU can be looked up from here.

    Raises:
        UserError: Google's package is missing, or this machine is elsewhere.
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


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of a checked TF_CONFIG.

    Attributes:
        workers: "host:port" of each worker, the chief first.
        index: Position of this process among them.
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
            UserError: Another program listens on it.
        """
        port = int(self.workers[self.index].rpartition(":")[2])
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError as error:
                raise UserError(
                    f"Worker {self.index} can't listen on port {port} "
                    f"({error.strerror}); stop the program that does, or give "
                    f"each worker its own index in {VARIABLE}."
                ) from error


def is_configured() -> bool:
    """Whether TF_CONFIG is set."""
    return bool(os.environ.get(VARIABLE))


def read_cluster() -> Cluster:
    """Reads TF_CONFIG.

    Raises:
        UserError: It is missing, incomplete or contradictory.
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
    if not isinstance(job, str) or job not in addresses:
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
    return UserError(
        f"--strategy=multiworker: {VARIABLE} {what}; each worker needs the "
        "addresses of all and its own index, such as "
        'TF_CONFIG=\'{"cluster": {"worker": ["host0:12345", "host1:12345"]}, '
        '"task": {"type": "worker", "index": 0}}\'.'
    )
