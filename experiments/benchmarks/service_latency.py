"""Time one client's searches in a service of a million descriptors.

    python experiments/benchmarks/service_latency.py --photos=1000000

makes an exact index of descriptors by seed, serves it, and prints the median
and the greatest time of requests to POST /search: by the name of a photo, which
runs no model; with an example of what is not searched for; for a later page of
results. The first row is the bound: one
product of the stored descriptors with a vector, by all cores. It needs twice
the memory and the disk of the descriptors, which --index keeps for other runs.
"""

import http.client
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.parse

import numpy as np
from absl import app, flags

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.library.indexing import index_descriptors
from agem_tf.retrieval.indexes import storage_at

_PHOTOS = flags.DEFINE_integer("photos", 1_000_000, "Photos of the index.")
_DIMENSION = flags.DEFINE_integer("dimension", 512, "Of a descriptor.")
_SEARCHES = flags.DEFINE_integer("searches", 30, "Requests of each kind.")
_INDEX = flags.DEFINE_string("index", None, "Directory to keep the index in.")


def make_index(place: str) -> None:
    rng = np.random.default_rng(0)
    shape = _PHOTOS.value, _DIMENSION.value
    rows = rng.standard_normal(shape, np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    names = [f"photo{number:07}.jpg" for number in range(len(rows))]
    with tempfile.TemporaryDirectory() as written:
        DescriptorSet(names, rows, {"model": "random"}).save(written)
        index_descriptors(storage_at(place), written)


def seconds(address: str, fields: dict[str, str]) -> float:
    connection = http.client.HTTPConnection(address, timeout=600)
    started = time.monotonic()
    connection.request(
        "POST",
        "/search",
        urllib.parse.urlencode(fields),
        {"Content-Type": "application/x-www-form-urlencoded"},
    )
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise SystemExit(content.decode())
    return time.monotonic() - started


def show(kind: str, took: list[float]) -> None:
    print(
        f"{kind:15} median {1000 * np.median(took):6.0f} ms, "
        f"greatest {1000 * max(took):6.0f} ms",
        flush=True,
    )


def show_products(place: str) -> None:
    rows = storage_at(place).open().index.descriptors
    took = []
    for row in rows[: _SEARCHES.value]:
        started = time.monotonic()
        np.matmul(rows, row)
        took.append(time.monotonic() - started)
    # The first one reads the file.
    show("bare product", took[1:])


def show_searches(place: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "agem_tf.serve", f"--index={place}"]
        + ["--port=0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        address = process.stdout.readline().split("//")[-1].strip()
        numbers = range(0, _PHOTOS.value, _PHOTOS.value // _SEARCHES.value)
        for kind, others in {
            "first search": {},
            "by a name": {},
            "unlike another": {"unlike": "photo0000001.jpg"},
            "the tenth page": {"offset": "540"},
        }.items():
            chosen = numbers[:1] if kind == "first search" else numbers
            show(
                kind,
                [
                    seconds(address, {"name": f"photo{n:07}.jpg", **others})
                    for n in chosen
                ],
            )
        process.terminate()


def main(_: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        place = _INDEX.value or f"{directory}/index"
        if not pathlib.Path(place).exists():
            make_index(place)
        show_products(place)
        show_searches(place)


if __name__ == "__main__":
    app.run(main)
