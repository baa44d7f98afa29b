"""Send a service random requests that its OpenAPI description allows, or not.

    pip install schemathesis
    python experiments/benchmarks/random_requests.py --index=photos.index \\
        --requests=1000

starts a writable service of a copy of the index and of its photos, sends it at
least so many requests, and prints how many it answered with each status. The
exit status is 1 if a request was answered with a status of 500 or more that is
not 503, or if the service does not answer, or has lost a photo, afterwards.
"""

import collections
import pathlib
import shutil
import subprocess
import sys
import tempfile

import httpx
import schemathesis
from absl import app, flags
from hypothesis import HealthCheck, Phase, given, seed, settings

from agem_tf.library.synchronization import sync_photos
from agem_tf.retrieval.indexes import storage_at

_INDEX = flags.DEFINE_string("index", None, "Index to serve.", required=True)
_REQUESTS = flags.DEFINE_integer("requests", 1000, "Least number of requests.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the requests.")


def send(
    operation, photo: str, count: int, turn: int, statuses: collections.Counter
) -> list[str]:
    """Sends requests of one operation; returns those that are defects.

    Every second one names the served model or a photo, where its path has a
    name and it removes nothing.
    """
    defects = []
    known = "agem_tf" if operation.path.startswith("/v") else photo

    @seed(_SEED.value + turn)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def run(case) -> None:
        names = case.path_parameters or {}
        is_even = statuses.total() % 2 == 0
        if "name" in names and case.method != "DELETE" and is_even:
            names["name"] = known
            names.update({"version": "1"} if "version" in names else {})
        try:
            status = case.call(timeout=60).status_code
        except Exception as error:  # A broken connection, in any library.
            status = type(error).__name__
        statuses[status] += 1
        if isinstance(status, str) or (status >= 500 and status != 503):
            defects.append(f"{status}: {case.as_curl_command()}")

    run()
    return defects


def main(_: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        place = str(shutil.copytree(_INDEX.value, root / "index"))
        photos = storage_at(place).open().origin.photos
        folder = shutil.copytree(photos, root / "photos")
        sync_photos(storage_at(place), str(folder))
        before = set(storage_at(place).open().index.names())
        process = subprocess.Popen(
            [sys.executable, "-m", "agem_tf.serve", f"--index={place}"]
            + ["--writable", "--port=0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        address = process.stdout.readline().split()[-1]
        try:
            schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
            operations = [found.ok() for found in schema.get_all_operations()]
            count = -(-_REQUESTS.value // len(operations))
            statuses = collections.Counter()
            defects, turn = [], 0
            # Some operations have few different requests.
            while statuses.total() < _REQUESTS.value:
                for operation in operations:
                    defects += send(
                        operation, min(before), count, turn, statuses
                    )
                turn += 1
            alive = httpx.get(f"{address}/library").status_code == 200
        finally:
            process.terminate()
            process.wait()
        lost = before - set(storage_at(place).open().index.names())
    print(f"{statuses.total()} requests of {len(operations)} operations")
    print(", ".join(f"{n} x {s}" for s, n in statuses.most_common()))
    print(*defects, sep="\n")
    print(f"alive: {alive}; lost photos: {len(lost)}")
    sys.exit(bool(defects or lost or not alive))


if __name__ == "__main__":
    app.run(main)
