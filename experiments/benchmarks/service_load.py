"""Hold clients on the service for a minute, beside the bare model.

    python experiments/benchmarks/service_load.py --index=photos.index \\
        --clients=16 --seconds=60

prints, in this order and with the same photos: the photos per second of the
bare model in batches of 16; of a plain FastAPI application that runs the same
model once per request; of the service by TensorFlow Serving's protocol and by
POST /search; and of the latter again while every tenth request is hostile.
With each: the share of the bare model's throughput, median and 99th percentile
of the seconds per request, the answers that are no success, and the growth of
the service's memory. Clients and service share the cores. Every photo is sent
with other bytes behind its end, so that no answer is remembered.
"""

import base64
import http.client
import itertools
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import fastapi
import numpy as np
import tensorflow as tf
import uvicorn
from absl import app, flags
from fastapi.concurrency import run_in_threadpool

from agem_tf.photos.listing import list_folder
from agem_tf.retrieval.indexes import storage_at
from agem_tf.saved_models.retrieval_model import load_exported

_INDEX = flags.DEFINE_string("index", None, "Index to serve.", required=True)
_CLIENTS = flags.DEFINE_integer("clients", 16, "Clients at the same time.")
_SECONDS = flags.DEFINE_float("seconds", 60, "Seconds per measurement.")
_PLAIN = flags.DEFINE_integer("plain", 0, "Port of the plain application.")
_BATCH = 16
_MOST_PHOTOS = 64
_PREDICT = "/v1/models/agem_tf:predict"
_BOUNDARY = "----------------boundary"

# Method, path, content type and body.
Request = tuple[str, str, str, bytes]


class Measured(NamedTuple):
    """What clients saw.

    Attributes:
        rate: successful requests per second.
        seconds: seconds of each successful request.
        refused: number of answers by status, of requests that should succeed.
        hostile: number of answers by status, of hostile requests.
    """

    rate: float
    seconds: np.ndarray
    refused: dict[int, int]
    hostile: dict[int, int]


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


def measure(
    port: int, photos: list[bytes], request: Callable, hostile: bool = False
) -> Measured:
    """Holds clients on a port."""
    ends = time.monotonic() + _SECONDS.value
    seconds: list[float] = []
    refused: dict[int, int] = {}
    bad_answers: dict[int, int] = {}
    lock = threading.Lock()

    def run(number: int) -> None:
        draw = random.Random(number)
        bad = hostile_requests(photos[0])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
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
                    bad_answers[status] = bad_answers.get(status, 0) + 1
                elif status == 200:
                    seconds.append(time.monotonic() - started)
                else:
                    refused[status] = refused.get(status, 0) + 1
        connection.close()

    started = time.monotonic()
    threads = [
        threading.Thread(target=run, args=(number,))
        for number in range(_CLIENTS.value)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(seconds) / (time.monotonic() - started)
    return Measured(rate, np.array(seconds), refused, bad_answers)


def bare_rate(model: str, photos: list[bytes]) -> float:
    """Returns the photos per second of the model in full batches."""
    extractor = load_exported(model)
    batches = itertools.cycle(
        [photos[i : i + _BATCH] for i in range(0, len(photos), _BATCH)]
    )
    extractor.encoded(next(batches))
    count, started = 0, time.monotonic()
    while time.monotonic() - started < _SECONDS.value:
        count += len(extractor.encoded(next(batches)))
    return count / (time.monotonic() - started)


def serve_plain(model: str) -> None:
    """Serves the model as a few lines of FastAPI would."""
    extractor, application = load_exported(model), fastapi.FastAPI()

    @application.post(_PREDICT)
    async def predict(request: fastapi.Request) -> dict:
        body = await request.json()
        photos = [base64.b64decode(each["b64"]) for each in body["instances"]]
        outputs = await run_in_threadpool(
            extractor.function,
            encoded_images=tf.constant(photos),
            boxes=tf.zeros((len(photos), 4)),
        )
        return {"predictions": outputs["descriptors"].numpy().tolist()}

    uvicorn.run(application, port=_PLAIN.value, log_level="warning")


def memory(process: int) -> int:
    """Returns the resident megabytes of a process."""
    status = pathlib.Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) // 1000


def show(name: str, found: Measured, bare: float) -> None:
    median, last = np.percentile(found.seconds, [50, 99])
    print(
        f"{name:28} {found.rate:6.1f} per second {100 * found.rate / bare:4.0f}"
        f" %  p50 {median:6.3f} s  p99 {last:6.3f} s  refused {found.refused}"
        + (f"  hostile {found.hostile}" if found.hostile else ""),
        flush=True,
    )


def wait_for(port: int) -> None:
    """Waits until a port is served."""
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        try:
            connection.request("GET", "/health")
            connection.getresponse()
            return
        except OSError:
            time.sleep(0.2)
        finally:
            connection.close()


def main(_: list[str]) -> None:
    stored = storage_at(_INDEX.value).open()
    model = os.fspath(stored.model)
    if _PLAIN.value:
        serve_plain(model)
        return
    paths = list_folder(stored.origin.photos)[:_MOST_PHOTOS]
    photos = [pathlib.Path(path).read_bytes() for path in paths]
    bare = bare_rate(model, photos)
    print(f"{'bare model':28} {bare:6.1f} per second", flush=True)
    port = 8095
    plain = subprocess.Popen(
        [sys.executable, *sys.argv, f"--plain={port}"],
    )
    wait_for(port)
    show("plain FastAPI", measure(port, photos, predict_request), bare)
    plain.terminate()
    plain.wait()
    served = subprocess.Popen(
        [sys.executable, "-m", "agem_tf.serve", f"--index={_INDEX.value}"]
        + [f"--port={port}", f"--concurrency={2 * _CLIENTS.value}"],
        stderr=subprocess.DEVNULL,
    )
    wait_for(port)
    rows = [
        ("TensorFlow Serving's protocol", predict_request, False),
        ("POST /search", search_request, False),
        ("the same, 10 % hostile", search_request, True),
    ]
    try:
        for name, request, hostile in rows:
            measure_only = measure(port, photos, request, hostile)
            show(name, measure_only, bare)
            print(f"{'':28} memory {memory(served.pid)} MB", flush=True)
    finally:
        served.terminate()
        served.wait()


if __name__ == "__main__":
    app.run(main)
