"""Memory and time of a preparation without the photos, by listed photos.

    python experiments/benchmarks/preparation_scale.py

The photos are rows of a CSV, 20 per landmark. An engine of this file takes the
place of the workers: it writes the indexes of the shards, but no records, so
that what is measured is the process that lists, plans and joins.
"""

import io
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

import numpy as np
from absl import app, flags

from agem_tf.datasets import preparation
from agem_tf.files.locations import large_temporary_directory

_PHOTOS = flags.DEFINE_multi_integer(
    "photos", [200_000, 1_000_000], "Listed photos, one process for each."
)
_WORK = flags.DEFINE_integer("work", None, "Photos that a process measures.")
_PER_LANDMARK = 20


def main(argv: list[str]) -> None:
    """Measures each number of photos in a process, or one in this one."""
    del argv
    if _WORK.value:
        _measure(_WORK.value)
        return
    print("| photos | seconds | MiB before the workers | MiB after |")
    print("|---|---|---|---|", flush=True)
    for photos in _PHOTOS.value:
        command = [sys.executable, __file__, f"--work={photos}"]
        subprocess.run(command, check=True)


def _measure(photos: int) -> None:
    with tempfile.TemporaryDirectory(
        dir=large_temporary_directory()
    ) as directory:
        source = pathlib.Path(directory, "photos.csv")
        _write_list(source, photos)
        start, peaks = time.perf_counter(), []

        def engine(task, paths: Sequence[str]) -> Iterator[str]:
            del task
            peaks.append(_peak())
            for path in paths:
                _write_index(path)
                yield path

        preparation.prepare(
            "photo_folder",
            pathlib.Path(directory, "data"),
            {"source": str(source)},
            engine=engine,
        )
        seconds = time.perf_counter() - start
        print(
            f"| {photos:,} | {seconds:.0f} | {peaks[0]:.0f} | {_peak():.0f} |",
            flush=True,
        )


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _write_list(path: pathlib.Path, photos: int) -> None:
    with path.open("w") as file:
        for photo in range(photos):
            landmark = photo // _PER_LANDMARK
            file.write(
                f"photos/{photo % 1000:03d}/IMG_{photo:09d}.jpg,{landmark}\n"
            )


def _write_index(path: str) -> None:
    """Writes the index of a shard as its worker would, and empty records."""
    with open(f"{path}.items") as plan:
        next(plan)
        items = [json.loads(line) for line in plan]
    pathlib.Path(f"{path}.tfrecord").touch()
    buffer = io.BytesIO()
    np.savez(
        buffer,
        names=json.dumps([item[1] for item in items]),
        labels=np.array([item[3] for item in items], np.int64),
        boxes=np.zeros((len(items), 4), np.float32),
        sizes=np.full((len(items), 2), 512, np.int32),
        offsets=np.arange(len(items), dtype=np.int64),
        skipped="[]",
    )
    pathlib.Path(f"{path}.npz").write_bytes(buffer.getvalue())


if __name__ == "__main__":
    app.run(main)
