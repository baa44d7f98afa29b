"""Hold clients on the service for a minute, beside the bare model.

    python experiments/benchmarks/service_load.py --index=photos.index \\
        --clients=16 --seconds=60

measures, with the same photos, the bare model in batches of 16; the same model
in plain FastAPI and, where it is installed, in LitServe (`service_peers.py`);
the service by TensorFlow Serving's protocol and by POST /search; and the latter
again while every tenth request is hostile. They take turns in rounds of five
seconds, so that other work of the machine disturbs all alike. With
--memory_minutes=10, clients then search by sent photos and by indexed ones, a
tenth of it hostile, and another adds photos to the index and removes them,
while the memory is read: give a copy of the index. --seconds=0 measures the
memory alone.

Printed are successful requests per second, and their share of the bare model's;
CPU time of the server's processes per request, also as such a share; median and
99th percentile of the seconds per request; answers that are no success; and the
memory of the service. Clients and server share the cores. Every photo is sent
with other bytes behind its end, so that no answer is remembered.
"""

import base64
import collections
import concurrent.futures
import contextlib
import dataclasses
import http.client
import importlib.util
import itertools
import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from typing import Self

import numpy as np
import psutil
from absl import app, flags

from agem_tf.extraction.photo_files import FileExtractor
from agem_tf.photos.listing import list_folder
from agem_tf.retrieval.indexes import storage_at
from agem_tf.saved_models.retrieval_model import load_exported

_INDEX = flags.DEFINE_string("index", None, "Index to serve.", required=True)
_CLIENTS = flags.DEFINE_integer("clients", 16, "Clients at the same time.")
_SECONDS = flags.DEFINE_float("seconds", 60, "Seconds per measurement.")
_MINUTES = flags.DEFINE_float(
    "memory_minutes",
    0,
    "Minutes of load over which memory is read; the index is changed.",
)
_BATCH = 16
_ROUND_SECONDS = 5.0
_MOST_PHOTOS = 64
_PREDICT = "/v1/models/agem_tf:predict"
_BOUNDARY = "----------------boundary"

# Method, path, content type and body.
Request = tuple[str, str, str, bytes]


@dataclasses.dataclass
class Measured:
    """What clients saw, over all rounds.

    Attributes:
        wall: seconds of the rounds.
        cpu: CPU seconds of the server's processes.
        seconds: seconds of each successful request.
        refused: number of answers by status, of requests that should succeed.
        hostile: number of answers by status, of hostile requests.
    """

    wall: float = 0
    cpu: float = 0
    seconds: list[float] = dataclasses.field(default_factory=list)
    refused: collections.Counter = dataclasses.field(
        default_factory=collections.Counter
    )
    hostile: collections.Counter = dataclasses.field(
        default_factory=collections.Counter
    )

    @property
    def rate(self) -> float:
        """Successful requests per second."""
        return len(self.seconds) / self.wall

    @property
    def cost(self) -> float:
        """CPU seconds per successful request."""
        return self.cpu / max(len(self.seconds), 1)


class Server:
    """A server in a process of its own.

    Args:
        port: port that it listens on.
        command: arguments of Python.
    """

    def __init__(self, port: int, command: list[str]):
        self.port = port
        self._started = subprocess.Popen(
            [sys.executable, *command, f"--port={port}"],
            stderr=subprocess.DEVNULL,
        )
        self.process = psutil.Process(self._started.pid)

    def __enter__(self) -> Self:
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port)
            try:
                connection.request("GET", "/health")
                connection.getresponse()
                return self
            except OSError as error:
                if self._started.poll() is not None:
                    raise SystemExit("A server did not start.") from error
                time.sleep(0.2)
            finally:
                connection.close()

    def __exit__(self, *_: object) -> None:
        # LitServe's processes outlive the one that started them.
        children = self.process.children(recursive=True)
        self._started.terminate()
        self._started.wait()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.terminate()

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds that the process and its children have used."""
        processes = [self.process, *self.process.children(recursive=True)]
        times = [process.cpu_times() for process in processes]
        return sum(time.user + time.system for time in times)


def predict_request(photo: bytes) -> Request:
    text = base64.b64encode(photo).decode()
    body = json.dumps({"instances": [{"b64": text}]}).encode()
    return "POST", _PREDICT, "application/json", body


def search_request(photo: bytes) -> Request:
    head = (
        f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name=photo; "
        "filename=a.jpg\r\n\r\n"
    )
    body = head.encode() + photo + f"\r\n--{_BOUNDARY}--\r\n".encode()
    kind = f"multipart/form-data; boundary={_BOUNDARY}"
    return "POST", "/search", kind, body


def hostile_requests(photo: bytes) -> Iterator[Request]:
    """Yields requests that must be refused, again and again."""
    bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\xff\xff\x08\2\0\0\0"
    return itertools.cycle(
        [
            search_request(b"no photo"),
            search_request(photo[: len(photo) // 2]),
            search_request(bomb),
            ("POST", "/search", "multipart/form-data", b"x"),
            ("POST", _PREDICT, "application/json", b"[" * 100_000),
            ("GET", "/thumbnails/..%2f..%2fetc%2fpasswd", "", b""),
            ("DELETE", "/photos/a.jpg", "", b""),
        ]
    )


def hold(
    server: Server,
    photos: list[bytes],
    request: Callable,
    hostile: bool,
    duration: float,
    measured: Measured,
) -> None:
    """Holds clients on a server, and adds what they see to `measured`."""
    ends = time.monotonic() + duration
    lock = threading.Lock()

    def run(number: int) -> None:
        draw = random.Random(f"{number} {ends}")
        bad = hostile_requests(photos[0])
        connection = http.client.HTTPConnection(
            "127.0.0.1", server.port, timeout=60
        )
        while time.monotonic() < ends:
            is_bad = hostile and draw.random() < 0.1
            photo = draw.choice(photos) + draw.randbytes(8)
            method, path, kind, body = next(bad) if is_bad else request(photo)
            started = time.monotonic()
            try:
                connection.request(method, path, body, {"Content-Type": kind})
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except (OSError, http.client.HTTPException):
                connection.close()
                status = 0
            with lock:
                if is_bad:
                    measured.hostile[status] += 1
                elif status == 200:
                    measured.seconds.append(time.monotonic() - started)
                else:
                    measured.refused[status] += 1
        connection.close()

    wall, cpu = time.monotonic(), server.cpu_seconds
    threads = [
        threading.Thread(target=run, args=(number,))
        for number in range(_CLIENTS.value)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    measured.wall += time.monotonic() - wall
    measured.cpu += server.cpu_seconds - cpu


def run_bare(
    extractor: FileExtractor, photos: list[bytes], measured: Measured
) -> None:
    """Runs the model on full batches, and adds what it takes."""
    wall, cpu = time.monotonic(), time.process_time()
    while (took := time.monotonic() - wall) < _ROUND_SECONDS:
        batch = random.sample(photos, _BATCH)
        extractor.encoded(batch)
        each = (time.monotonic() - wall - took) / _BATCH
        measured.seconds.extend([each] * _BATCH)
    measured.wall += time.monotonic() - wall
    measured.cpu += time.process_time() - cpu


def show(name: str, found: Measured, bare: Measured) -> None:
    median, last = np.percentile(found.seconds, [50, 99])
    print(
        f"{name:30} {found.rate:6.1f} per second {found.rate / bare.rate:6.0%}"
        f"  CPU {1000 * found.cost:5.1f} ms {bare.cost / found.cost:6.0%}"
        f"  p50 {median:6.3f} s  p99 {last:6.3f} s"
        f"  refused {dict(found.refused)}"
        + (f"  hostile {dict(found.hostile)}" if found.hostile else ""),
        flush=True,
    )


def add_and_remove(
    server: Server, photos: list[bytes], stopped: threading.Event
) -> collections.Counter:
    """Adds photos, each of which it removes again; counts the answers."""
    statuses: collections.Counter = collections.Counter()

    def send(request: Request) -> bytes:
        method, path, kind, body = request
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request(method, path, body, {"Content-Type": kind})
        answer = connection.getresponse()
        statuses[f"{method} {answer.status}"] += 1
        content = answer.read()
        connection.close()
        return content

    while not stopped.wait(1):
        photo = random.choice(photos) + random.randbytes(8)
        _, _, kind, body = search_request(photo)
        added = json.loads(send(("POST", "/photos", kind, body)))
        for name in added.get("names", []):
            path = urllib.parse.quote(name, safe="")
            send(("DELETE", f"/photos/{path}", "", b""))
    return statuses


def show_memory(
    server: Server, photos: list[bytes], names: Sequence[str]
) -> None:
    """Prints the memory of the service under load, every minute."""

    def request(photo: bytes) -> Request:
        if random.random() < 0.5:
            return search_request(photo)
        form = urllib.parse.urlencode({"name": random.choice(names)})
        kind = "application/x-www-form-urlencoded"
        return "POST", "/search", kind, form.encode()

    measured, stopped = Measured(), threading.Event()

    def megabytes() -> int:
        return server.process.memory_info().rss // 1_000_000

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        print(f"started:   {megabytes()} MB", flush=True)
        changes = pool.submit(add_and_remove, server, photos, stopped)
        try:
            for minute in range(round(_MINUTES.value)):
                hold(server, photos, request, True, 60, measured)
                print(f"minute {minute + 1:2}: {megabytes()} MB", flush=True)
        finally:
            stopped.set()
        print(
            f"{len(measured.seconds)} searches, refused "
            f"{dict(measured.refused)}; hostile {dict(measured.hostile)}; "
            f"changes {dict(changes.result())}"
        )


def show_load(service: Server, photos: list[bytes], model: str) -> None:
    """Prints what the bare model, the peers and the service do."""
    extractor = load_exported(model)
    extractor.encoded(photos[:_BATCH])
    peer = [
        os.fspath(pathlib.Path(__file__).with_name("service_peers.py")),
        f"--index={_INDEX.value}",
    ]
    peers = {
        "plain FastAPI": Server(8095, [*peer, "--peer=fastapi"]),
    }
    if importlib.util.find_spec("litserve"):
        peers["LitServe"] = Server(8094, [*peer, "--peer=litserve"])
    with contextlib.ExitStack() as started:
        for server in peers.values():
            started.enter_context(server)
        rows = {
            **{
                name: (server, predict_request, False)
                for name, server in peers.items()
            },
            "TensorFlow Serving's protocol": (service, predict_request, False),
            "POST /search": (service, search_request, False),
            "the same, 10 % hostile": (service, search_request, True),
        }
        for server, request, hostile in rows.values():
            hold(server, photos, request, hostile, 1, Measured())
        bare = Measured()
        found = {name: Measured() for name in rows}
        for _ in range(round(_SECONDS.value / _ROUND_SECONDS)):
            run_bare(extractor, photos, bare)
            for name, row in rows.items():
                server, request, hostile = row
                hold(
                    server,
                    photos,
                    request,
                    hostile,
                    _ROUND_SECONDS,
                    found[name],
                )
    show("bare model", bare, bare)
    for name, measured in found.items():
        show(name, measured, bare)


def main(_: list[str]) -> None:
    stored = storage_at(_INDEX.value).open()
    paths = list_folder(stored.origin.photos)[:_MOST_PHOTOS]
    photos = [pathlib.Path(path).read_bytes() for path in paths]
    options = [f"--concurrency={2 * _CLIENTS.value}", "--timeout=60"]
    if _MINUTES.value:
        options.append("--writable")
    command = ["-m", "agem_tf.serve", f"--index={_INDEX.value}", *options]
    with Server(8096, command) as service:
        if _SECONDS.value:
            show_load(service, photos, os.fspath(stored.model))
        if _MINUTES.value:
            hold(service, photos, search_request, True, 1, Measured())
            show_memory(service, photos, stored.index.names())


if __name__ == "__main__":
    app.run(main)
