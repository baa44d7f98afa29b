"""Measures what a FAISS index gains over exact search, and what it loses.

Command: python experiments/index_benchmark.py
Takes 20,000 descriptors of 128 dimensions in clusters, as photos of landmarks
are; every row is one run, so compare the ratios, not the machines. Arguments
are FAISS factory strings to measure instead.
"""

import pathlib
import sys
import tempfile
import time

import numpy as np

from agem_tf.search.index import Index, Origin, find

PHOTOS, DIMENSION, CLUSTERS, QUERIES, TOP = 20_000, 128, 1_000, 1_000, 10
FACTORIES = ("exact", "Flat", "SQ8", "IVF256,SQ8", "HNSW32")


def draw_descriptors(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns unit vectors of photos and of queries from the same clusters."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(CLUSTERS, DIMENSION))
    members = rng.integers(0, CLUSTERS, PHOTOS + QUERIES)
    rows = centres[members] + rng.normal(size=(len(members), DIMENSION))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return np.split(rows.astype(np.float32), [PHOTOS])


def build(factory: str, place: pathlib.Path, rows: np.ndarray) -> Index:
    """Makes an index on disk and opens it."""
    storage = find(str(place))
    with storage.created() as draft:
        index = draft.start(factory, DIMENSION, Origin({}))
        index.add([str(number) for number in range(len(rows))], rows)
    return storage.open().index


def names_found(index: Index, queries: np.ndarray) -> list[set[str]]:
    return [{m.name for m in found} for found in index.search(queries, TOP)]


def main(*factories: str) -> None:
    """Prints a Markdown row a factory."""
    rows, queries = draw_descriptors()
    print("| factory | built in | bytes | recall@10 | queries/s | x exact |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as directory:
        for number, factory in enumerate(("exact", *factories)):
            place = pathlib.Path(directory, str(number))
            start = time.perf_counter()
            index = build(factory, place, rows)
            built = time.perf_counter() - start
            names_found(index, queries[:TOP])
            start = time.perf_counter()
            found = names_found(index, queries)
            rate = len(queries) / (time.perf_counter() - start)
            if number == 0:
                truth, exact_rate = found, rate
            hits = map(len, map(set.intersection, found, truth))
            size = sum(file.stat().st_size for file in place.iterdir())
            print(
                f"| {factory} | {built:.1f} s | {size / 1e6:.1f} MB | "
                f"{sum(hits) / TOP / len(queries):.3f} | {rate:,.0f} | "
                f"{rate / exact_rate:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main(*(sys.argv[1:] or FACTORIES[1:]))
