"""Benchmark FAISS indexes against exact search: speed, size and recall.

    pip install faiss-cpu
    python experiments/benchmarks/index_benchmark.py
    python experiments/benchmarks/index_benchmark.py --factory=IVF1024,PQ16
    python experiments/benchmarks/index_benchmark.py --photos=1000000 \
        --dimension=512 --queries=100 --factory=RaBitQ --factory=RaBitQ,RFlat

Descriptors are clustered as those of landmarks are. Recall is the share of the
ten photos of exact search that an index finds. Codes are what a search reads of
every photo that it visits: without names, and without the whole descriptors
that RFlat reads of a few candidates.
"""

import dataclasses
import pathlib
import tempfile
from collections.abc import Iterator

import numpy as np
from absl import app, flags
from measuring import Measurement, measure, print_table

from agem_tf.retrieval.indexes import DescriptorIndex, Origin, storage_at

_FACTORIES = flags.DEFINE_multi_string(
    "factory", ["Flat", "SQ8", "IVF256,SQ8", "HNSW32"], "FAISS factory strings."
)
_PHOTOS = flags.DEFINE_integer("photos", 20_000, "Photos in the index.")
_DIMENSION = flags.DEFINE_integer(
    "dimension", 128, "Dimension of the descriptors."
)
_QUERIES = flags.DEFINE_integer("queries", 1000, "Queries per batch.")
_REPEATS = flags.DEFINE_integer("repeats", 3, "Calls; the fastest is reported.")
_TOP = 10
_CLUSTER = 20
_VECTORS = {"descriptors.npy", "vectors.faiss"}
_BLOCK = 50_000


def main(argv: list[str]) -> None:
    """Prints the table."""
    del argv
    with tempfile.TemporaryDirectory() as directory:
        print_table(_rows(pathlib.Path(directory), *_descriptors()))


@dataclasses.dataclass(frozen=True)
class _Kind:
    """One kind of index: its size, and measurements of building and search."""

    factory: str
    size: int
    codes: float
    built: Measurement
    searched: Measurement


def _rows(
    directory: pathlib.Path, database: np.ndarray, queries: np.ndarray
) -> Iterator[dict[str, object]]:
    exact = None
    for number, factory in enumerate(["exact", *_FACTORIES.value]):
        place = directory / str(number)
        kind = _measure(factory, place, database, queries)
        exact = exact or kind
        yield _row(kind, exact)


def _measure(
    factory: str, place: pathlib.Path, database: np.ndarray, queries: np.ndarray
) -> _Kind:
    built = measure(lambda: _build(factory, place, database))
    index = storage_at(str(place)).open().index
    searched = measure(lambda: _names_found(index, queries), _REPEATS.value)
    size = sum(file.stat().st_size for file in place.iterdir())
    vectors = next(p for p in place.iterdir() if p.name in _VECTORS).stat()
    codes = vectors.st_size / len(database)
    if "RFlat" in factory:
        codes -= database[0].nbytes
    return _Kind(factory, size, codes, built, searched)


def _row(kind: _Kind, exact: _Kind) -> dict[str, object]:
    found, wanted = kind.searched.result, exact.searched.result
    hits = sum(map(len, map(set.intersection, found, wanted)))
    faster = exact.searched.seconds / kind.searched.seconds
    return {
        "index": kind.factory,
        "seconds to build": f"{kind.built.seconds:.1f}",
        "MB": f"{kind.size / 1e6:.1f}",
        "bytes of codes per photo": f"{kind.codes:.0f}",
        f"recall@{_TOP}": f"{hits / sum(map(len, wanted)):.3f}",
        "queries per second": f"{len(found) / kind.searched.seconds:.0f}",
        "of exact search": f"{faster:.1f}",
    }


def _build(factory: str, place: pathlib.Path, rows: np.ndarray) -> None:
    with storage_at(str(place)).created() as draft:
        index = draft.start(factory, rows.shape[1], Origin({}))
        index.add([str(number) for number in range(len(rows))], rows)


def _names_found(index: DescriptorIndex, queries: np.ndarray) -> list[set[str]]:
    return [{m.name for m in found} for found in index.search(queries, _TOP)]


def _descriptors() -> list[np.ndarray]:
    """Returns descriptors of photos, and of queries of the same clusters."""
    rng = np.random.default_rng(0)
    shape = _PHOTOS.value // _CLUSTER, _DIMENSION.value
    centres = rng.standard_normal(shape, np.float32)
    members = rng.integers(len(centres), size=_PHOTOS.value + _QUERIES.value)
    rows = centres[members]
    for block in np.array_split(rows, -(-len(rows) // _BLOCK)):
        block += rng.standard_normal(block.shape, np.float32)
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return np.split(rows, [_PHOTOS.value])


if __name__ == "__main__":
    app.run(main)
