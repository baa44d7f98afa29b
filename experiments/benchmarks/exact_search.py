"""Benchmark `retrieval.nearest` against FAISS' flat index.

    pip install faiss-cpu
    python experiments/benchmarks/exact_search.py

Both get the same batch and give the same answers; the matrix product alone is a
lower bound.
"""

import faiss
import numpy as np
from absl import app, flags
from measuring import Measurement, measure, print_table

from agem_tf.retrieval.nearest import nearest

_SIZES = flags.DEFINE_multi_string(
    "size", ["100000x512", "1000000x128"], "Photos x dimension."
)
_QUERIES = flags.DEFINE_integer("queries", 70, "Queries per batch.")
_TOP = flags.DEFINE_integer("top", 100, "Photos to find per query.")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Calls; the fastest is reported.")


def main(argv: list[str]) -> None:
    """Prints the table."""
    del argv
    print_table(row for size in _SIZES.value for row in _rows(size))


def _rows(size: str) -> list[dict[str, object]]:
    photos, dimension = map(int, size.split("x"))
    database = _random_descriptors(0, photos, dimension)
    # Each query is near a photo; random ones are equally far from all.
    noise = _random_descriptors(1, _QUERIES.value, dimension)
    queries = database[: len(noise)] + 0.5 * noise
    index = faiss.IndexFlatIP(dimension)
    index.add(database)
    ways = {
        "matrix product": lambda: queries @ database.T,
        "agem_tf": lambda: nearest(queries, database, _TOP.value),
        "FAISS flat": lambda: index.search(queries, _TOP.value),
    }
    measured = {n: measure(way, _REPEATS.value) for n, way in ways.items()}
    found = {
        "agem_tf": measured["agem_tf"].result[0],
        "FAISS flat": measured["FAISS flat"].result[1],
    }
    return [
        _row(size, name, each, found.get(name), found["agem_tf"])
        for name, each in measured.items()
    ]


def _row(
    size: str,
    name: str,
    measured: Measurement,
    found: np.ndarray | None,
    ours: np.ndarray,
) -> dict[str, object]:
    equal = "-" if found is None else f"{100 * np.mean(found == ours):.2f} %"
    return {
        "database": size,
        "way": name,
        "queries per second": f"{_QUERIES.value / measured.seconds:.0f}",
        "CPU milliseconds per query": (
            f"{1000 * measured.cpu_seconds / _QUERIES.value:.2f}"
        ),
        "equal to agem_tf": equal,
    }


def _random_descriptors(seed: int, rows: int, dimension: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((rows, dimension), np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


if __name__ == "__main__":
    app.run(main)
