"""Time one client's searches in a service of a million descriptors.

    python experiments/benchmarks/service_latency.py --photos=1000000

makes an exact index of descriptors by seed, serves it, and prints the median
and the greatest time of requests to POST /search: by the name of a photo, which
runs no model; with an example of what is not searched for; and for a later page
of results. It needs twice the memory and the disk of the descriptors.
"""

import http.client
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


def make_index(directory: str) -> str:
    rng = np.random.default_rng(0)
    shape = _PHOTOS.value, _DIMENSION.value
    rows = rng.standard_normal(shape, np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    names = [f"photo{number:07}.jpg" for number in range(len(rows))]
    written, place = f"{directory}/descriptors", f"{directory}/index"
    DescriptorSet(names, rows, {"model": "random"}).save(written)
    index_descriptors(storage_at(place), written)
    return place


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


def main(_: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        place = make_index(directory)
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
                took = [
                    seconds(address, {"name": f"photo{n:07}.jpg", **others})
                    for n in chosen
                ]
                print(
                    f"{kind:15} median {1000 * np.median(took):6.0f} ms, "
                    f"greatest {1000 * max(took):6.0f} ms",
                    flush=True,
                )
            process.terminate()


if __name__ == "__main__":
    app.run(main)
