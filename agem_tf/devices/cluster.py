"""The workers that TF_CONFIG names, checked before TensorFlow waits for them.

TensorFlow itself answers a slip in that variable with a KeyError, or by waiting
for a worker that will never come.
"""

import dataclasses
import json
import os
import socket
from typing import Any

from agem_tf.errors import UserError

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
