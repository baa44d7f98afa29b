"""Recall of FAISS indexes by the number of photos that they are trained on.

    pip install faiss-cpu
    python experiments/benchmarks/training_sample.py

Descriptors are clustered as those of landmarks are. agem_tf trains on 256
photos per cell and at least 65,536, as FAISS itself does; here the limit of
FAISS is lifted, so that larger samples count. All samples share photos and
queries, and all indexes visit as many cells as agem_tf does, the square root of
their number.
"""

import math
import time
from collections.abc import Iterator

import faiss
import numpy as np
from absl import app, flags
from measuring import print_table

_FACTORIES = flags.DEFINE_multi_string(
    "factory", ["IVF1024,Flat", "IVF1024,PQ64,RFlat"], "FAISS factory strings."
)
_SAMPLES = flags.DEFINE_multi_integer(
    "sample", [65_536, 262_144, 500_000], "Photos to train on."
)
_PHOTOS = flags.DEFINE_integer("photos", 500_000, "Photos in the index.")
_DIMENSION = flags.DEFINE_integer("dimension", 512, "Of the descriptors.")
_QUERIES = flags.DEFINE_integer("queries", 500, "Queries.")
_CLUSTER = 20
_TOP = 10
_COMPARED = 10
_BLOCK = 50_000


def main(argv: list[str]) -> None:
    """Prints the table."""
    del argv
    print_table(_rows(*_descriptors()))


def _rows(rows: np.ndarray, queries: np.ndarray) -> Iterator[dict[str, object]]:
    exact = faiss.knn(queries, rows, _TOP, faiss.METRIC_INNER_PRODUCT)[1]
    for factory in _FACTORIES.value:
        for count in _SAMPLES.value:
            start = time.perf_counter()
            index = faiss.index_factory(rows.shape[1], factory)
            inverted = faiss.extract_index_ivf(index)
            inverted.cp.max_points_per_centroid = len(rows)
            places = np.linspace(0, len(rows) - 1, count).astype(np.int64)
            index.train(rows[places])
            trained = time.perf_counter() - start
            index.add(rows)
            space = faiss.ParameterSpace()
            cells = math.isqrt(inverted.nlist)
            space.set_index_parameter(index, "nprobe", cells)
            if "RFlat" in factory:
                space.set_index_parameter(index, "k_factor_rf", _COMPARED)
            found = index.search(queries, _TOP)[1]
            hits = sum(
                len(np.intersect1d(some, best))
                for some, best in zip(found, exact, strict=True)
            )
            yield {
                "index": factory,
                "trained on": f"{count:,}",
                "seconds to train": f"{trained:.0f}",
                f"recall@{_TOP}": f"{hits / exact.size:.3f}",
            }


def _descriptors() -> list[np.ndarray]:
    """Returns descriptors of photos, and of queries of the same clusters."""
    rng = np.random.default_rng(0)
    shape = _PHOTOS.value // _CLUSTER, _DIMENSION.value
    centres = rng.standard_normal(shape, np.float32)
    members = rng.integers(len(centres), size=_PHOTOS.value + _QUERIES.value)
    rows = centres[members]
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        block += rng.standard_normal(block.shape, np.float32)
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return np.split(rows, [_PHOTOS.value])


if __name__ == "__main__":
    app.run(main)
