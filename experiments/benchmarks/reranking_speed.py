"""Benchmark mining, query expansion, DBA and diffusion against matrix products.

    python experiments/benchmarks/reranking_speed.py

All of them search for neighbours, so their lower bound is the matrix products
of the mined queries with the pool; of the queries with the database, once for
neighbours and once for the ranking; and, for DBA and diffusion, of the database
with itself.
"""

from collections.abc import Callable, Iterator

import numpy as np
from absl import app, flags
from measuring import measure, print_table

from agem_tf.retrieval.reranking import (
    DatabaseAugmentation,
    Diffusion,
    QueryExpansion,
    Step,
    rerank,
)
from agem_tf.training.tasks.hard_negatives import mine_negatives

_PHOTOS = flags.DEFINE_integer("photos", 20_000, "Photos in pool and database.")
_DIMENSION = flags.DEFINE_integer(
    "dimension", 2048, "Dimension of the descriptors."
)
_QUERIES = flags.DEFINE_integer("queries", 70, "Number of queries.")
_MINED = flags.DEFINE_integer("mined", 2000, "Queries to mine negatives for.")
_REPEATS = flags.DEFINE_integer("repeats", 2, "Calls; the fastest is reported.")
_NEGATIVES = 5


def main(argv: list[str]) -> None:
    """Prints the table."""
    del argv
    rng = np.random.default_rng(0)
    landmarks = rng.integers(_PHOTOS.value // 20, size=_PHOTOS.value)
    print_table(_rows(rng, _descriptors(rng, landmarks), landmarks))


def _rows(
    rng: np.random.Generator, database: np.ndarray, landmarks: np.ndarray
) -> Iterator[dict[str, object]]:
    yield _mining_row(rng, database, landmarks)
    for name, step, looking in (
        ("QE, 10 neighbours", QueryExpansion(10), _QUERIES.value),
        ("DBA, 20 neighbours", DatabaseAugmentation(20), len(database)),
        ("diffusion, 50 neighbours", Diffusion(50), len(database)),
    ):
        yield _row(name, database, step, looking)


def _mining_row(
    rng: np.random.Generator, pool: np.ndarray, landmarks: np.ndarray
) -> dict[str, object]:
    chosen = rng.choice(len(pool), min(_MINED.value, len(pool)), replace=False)
    queries = pool[chosen]
    return _compare(
        f"mining, {_NEGATIVES} negatives",
        pool,
        [len(chosen)],
        lambda: mine_negatives(
            queries, pool, landmarks[chosen], landmarks, _NEGATIVES
        ),
    )


def _row(
    name: str, database: np.ndarray, step: Step, looking: int
) -> dict[str, object]:
    """Measures a step with neighbours of `looking` rows, and the ranking."""
    queries = database[: _QUERIES.value]
    return _compare(
        name,
        database,
        [looking, len(queries)],
        lambda: rerank(queries, database, [step]),
    )


def _compare(
    name: str, database: np.ndarray, products: list[int], call: Callable
) -> dict[str, object]:
    """Measures a call, and products of so many rows with the database."""
    # A copy; BLAS would compute only half of a symmetric product.
    other = database.copy()
    bound = measure(
        lambda: [_product(database[:rows], other) for rows in products],
        _REPEATS.value,
    )
    measured = measure(call, _REPEATS.value)
    sizes = " + ".join(f"{rows} x {len(other)}" for rows in products)
    return {
        "method": name,
        "seconds": f"{measured.seconds:.2f}",
        "products": sizes,
        "of their time": f"{measured.seconds / bound.seconds:.2f}",
        "of their CPU time": f"{measured.cpu_seconds / bound.cpu_seconds:.2f}",
        "MiB": f"{measured.mebibytes:.0f}",
    }


def _product(looking: np.ndarray, found: np.ndarray) -> None:
    for start in range(0, len(looking), 1000):
        np.matmul(looking[start : start + 1000], found.T)


def _descriptors(rng: np.random.Generator, landmarks: np.ndarray) -> np.ndarray:
    """Returns descriptors that are similar within each landmark."""
    shape = landmarks.max() + 1, _DIMENSION.value
    centres = rng.standard_normal(shape, np.float32)
    noise = rng.standard_normal((len(landmarks), shape[1]), np.float32)
    values = centres[landmarks] + 1.5 * noise
    return values / np.linalg.norm(values, axis=1, keepdims=True)


if __name__ == "__main__":
    app.run(main)
