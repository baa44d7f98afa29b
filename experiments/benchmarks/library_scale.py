"""Time, memory and disk of an index of millions of photos.

    pip install faiss-cpu
    python experiments/benchmarks/library_scale.py
    python experiments/benchmarks/library_scale.py --photos=10000000 \
        --dimension=128
    python experiments/benchmarks/library_scale.py --factory=IVF1024,Flat

Descriptors are drawn by a seed, in blocks, and stored without photos. Each part
is measured in a process of its own, as commands are. FAISS' flat index of the
same rows, in memory, is searched in turn with ours, so that other work on the
machine disturbs both alike. The memory of "add one" is that at its end; the
greatest one, with the pages of files, is beside it.
"""

import functools
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import app, flags

from agem_tf.files.rows import write_rows
from agem_tf.retrieval.indexes import Origin, storage_at

_PHOTOS = flags.DEFINE_integer("photos", 1_000_000, "Photos in the index.")
_DIMENSION = flags.DEFINE_integer("dimension", 512, "Of the descriptors.")
_FACTORY = flags.DEFINE_string("factory", "exact", "Kind of the index.")
_DIRECTORY = flags.DEFINE_string("directory", None, "Where the index is made.")
_WORK = flags.DEFINE_string("work", None, "Part that a process measures.")
_BLOCK = 50_000
_BATCH = 100
_TOP = 10
_PARTS = ("make", "open", "add one", "search", "compare")
_REPEATS = {1: 9, _BATCH: 2}
_ORIGIN = Origin({"model": "m"})


def main(argv: list[str]) -> None:
    """Measures each part in a process, or one part in this one."""
    del argv
    if _WORK.value:
        _measure(_WORK.value, pathlib.Path(_DIRECTORY.value))
        return
    print("| part | seconds | MiB of memory | |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(dir=_DIRECTORY.value) as directory:
        is_exact = _FACTORY.value == "exact"
        for part in _PARTS if is_exact else _PARTS[:-1]:
            flags_of_part = [
                f"--photos={_PHOTOS.value}",
                f"--dimension={_DIMENSION.value}",
                f"--factory={_FACTORY.value}",
                f"--directory={directory}",
                f"--work={part}",
            ]
            command = [sys.executable, __file__, *flags_of_part]
            subprocess.run(command, check=True)


def _measure(part: str, directory: pathlib.Path) -> None:
    place = directory / "index"
    queries = _rows(_BATCH, 1)
    if part == "make":
        start = time.perf_counter()
        _make(place, directory / "rows.npy")
        size = sum(f.stat().st_size for f in place.rglob("*") if f.is_file())
        _print(part, time.perf_counter() - start, f"{size / 1e6:,.0f} MB")
        return
    start = time.perf_counter()
    stored = storage_at(str(place)).open()
    opened = time.perf_counter() - start
    if part == "open":
        _print("open for the first time, with checksums", opened)
        start = time.perf_counter()
        stored = storage_at(str(place)).open()
        _print("open", time.perf_counter() - start)
        start = time.perf_counter()
        stored.index.descriptor("7.jpg")
        _print("a photo by name", time.perf_counter() - start)
    elif part == "add one":
        start = time.perf_counter()
        with storage_at(str(place)).changed() as changed:
            changed.index.add(["new.jpg"], queries[:1])
        _print(part, time.perf_counter() - start)
    elif part == "search":
        for batch in _REPEATS:
            call = functools.partial(_search(stored, queries), batch)
            (seconds,) = _fastest([call], batch)
            _print(f"search by {batch}", seconds)
    else:
        ways = _search(stored, queries), _search_faiss(directory, queries)
        for batch in _REPEATS:
            calls = [functools.partial(way, batch) for way in ways]
            ours, others = _fastest(calls, batch)
            _print(f"search by {batch}", ours, "in turn with FAISS")
            _print(f"FAISS flat, by {batch}", others, f"{others / ours:.1f} x")


def _search(stored, queries: np.ndarray):
    return lambda batch: stored.index.search(queries[:batch], _TOP)


def _search_faiss(directory: pathlib.Path, queries: np.ndarray):
    import faiss

    rows = np.load(directory / "rows.npy", mmap_mode="r")
    index = faiss.IndexFlatIP(rows.shape[1])
    for start in range(0, len(rows), _BLOCK):
        index.add(np.ascontiguousarray(rows[start : start + _BLOCK]))
    return lambda batch: index.search(queries[:batch], _TOP)


def _fastest(calls, batch: int) -> list[float]:
    """Returns the seconds of the fastest of repeated calls, made in turn."""
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(_REPEATS[batch]):
        for own, call in zip(taken, calls, strict=True):
            start = time.perf_counter()
            call()
            own.append(time.perf_counter() - start)
    return [min(own) for own in taken]


def _print(part: str, seconds: float, note: str = "") -> None:
    # Without the pages of a memory map, which the system may drop.
    status = pathlib.Path("/proc/self/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    memory = int(fields["RssAnon"].split()[0]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    note = ", ".join(filter(None, [note, f"peak with files {peak:,.0f} MiB"]))
    print(f"| {part} | {seconds:.3f} | {memory:,.0f} | {note} |", flush=True)


def _make(place: pathlib.Path, path: pathlib.Path) -> None:
    blocks = (
        _rows(min(_BLOCK, _PHOTOS.value - start), start + 2)
        for start in range(0, _PHOTOS.value, _BLOCK)
    )
    rows = write_rows(path, blocks, _DIMENSION.value)
    with storage_at(str(place)).created() as draft:
        index = draft.start(_FACTORY.value, _DIMENSION.value, _ORIGIN)
        index.add([f"{number}.jpg" for number in range(len(rows))], rows)


def _rows(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((count, _DIMENSION.value), np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


if __name__ == "__main__":
    app.run(main)
