"""Benchmark Easy, Medium and Hard of 70 queries against a million photos.

    python experiments/benchmarks/evaluation_scale.py --directory=/tmp

Measures time and memory of the evaluation, of the matrix product alone over the
same file, and of sorting every similarity. The file, 4 GB of random
descriptors, is written to the directory and deleted at the end.
"""

import pathlib
import shutil
import tempfile
from collections.abc import Iterator

import numpy as np
from absl import app, flags
from measuring import Measurement, available_bytes, measure, print_table

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.evaluation.evaluating import Evaluation, evaluate_descriptors
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.evaluation.protocols.revisited import evaluate_revisited

_DIRECTORY = flags.DEFINE_string(
    "directory", None, "Directory to write the descriptors to."
)
_PHOTOS = flags.DEFINE_integer("photos", 1_000_000, "Photos in the database.")
_DIMENSION = flags.DEFINE_integer(
    "dimension", 2048, "Dimension of the descriptors."
)
_QUERIES = flags.DEFINE_integer("queries", 70, "Number of queries.")
_LABELLED = flags.DEFINE_integer(
    "labelled", 348, "Labelled photos per query; 348 is the mean of RParis."
)
_DTYPE = flags.DEFINE_enum(
    "dtype", "float16", ["float16", "float32"], "Type on disk."
)
_REPEATS = flags.DEFINE_integer("repeats", 3, "Calls; the fastest is reported.")
_BLOCK = 8192


def main(argv: list[str]) -> None:
    """Prints the table."""
    del argv
    folder = pathlib.Path(tempfile.mkdtemp(dir=_DIRECTORY.value))
    try:
        database = _write_descriptors(folder / "database.npy")
        queries = _random_descriptors(np.random.default_rng(1), _QUERIES.value)
        print_table(_rows(queries, database, _random_truth()))
    finally:
        shutil.rmtree(folder)


def _rows(
    queries: np.ndarray, database: np.ndarray, truth: GroundTruth
) -> Iterator[dict[str, object]]:
    """Measures all ways on one file."""
    sets = (
        DescriptorSet(truth.database_names, database),
        truth,
        DescriptorSet(truth.query_names, queries),
    )
    product = measure(lambda: _product(queries, database), _REPEATS.value)
    yield _row("matrix product", product, product)
    ours = measure(lambda: evaluate_descriptors(*sets), _REPEATS.value)
    yield _row("evaluation", ours, product)
    needed = 4 * database.size + 24 * len(queries) * len(database)
    if available_bytes() < 1.2 * needed:
        print(f"Sorting is skipped, it needs {needed / 2**30:.0f} GiB.")
        return
    plain = measure(lambda: _sort(queries, database, truth))
    yield _row("sorting everything", plain, product)
    _check_equal(ours.result, plain.result)


def _row(
    name: str, measured: Measurement, product: Measurement
) -> dict[str, object]:
    return {
        "way": name,
        "seconds": f"{measured.seconds:.2f}",
        "of the product": f"{measured.seconds / product.seconds:.2f}",
        "CPU seconds": f"{measured.cpu_seconds:.2f}",
        "of the product's": f"{measured.cpu_seconds / product.cpu_seconds:.2f}",
        "MiB beyond the file cache": f"{measured.mebibytes:.0f}",
    }


def _product(queries: np.ndarray, database: np.ndarray) -> None:
    for start in range(0, len(database), _BLOCK):
        block = np.asarray(database[start : start + _BLOCK], np.float32)
        np.matmul(queries, block.T)


def _sort(
    queries: np.ndarray, database: np.ndarray, truth: GroundTruth
) -> object:
    similarities = queries @ np.asarray(database, np.float32).T
    ranks = np.argsort(-similarities, axis=1, kind="stable")
    return evaluate_revisited(ranks, truth)


def _check_equal(ours: Evaluation, plain: object) -> None:
    """Compares AP; rounding may swap photos with equal similarities."""
    for part in ("easy", "medium", "hard"):
        np.testing.assert_allclose(
            getattr(ours.scores, part).average_precisions,
            getattr(plain, part).average_precisions,
            rtol=1e-3,
        )


def _write_descriptors(path: pathlib.Path) -> np.ndarray:
    shape = _PHOTOS.value, _DIMENSION.value
    database = np.lib.format.open_memmap(path, "w+", _DTYPE.value, shape)
    rng = np.random.default_rng(0)
    for start in range(0, len(database), _BLOCK):
        rows = min(_BLOCK, len(database) - start)
        database[start : start + rows] = _random_descriptors(rng, rows)
    database.flush()
    return np.load(path, mmap_mode="r")


def _random_descriptors(rng: np.random.Generator, rows: int) -> np.ndarray:
    values = rng.random((rows, _DIMENSION.value), np.float32) - 0.5
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def _random_truth() -> GroundTruth:
    """Returns labels spread over the whole database."""
    rng = np.random.default_rng(2)
    queries = [
        QueryTruth(
            *np.array_split(
                rng.choice(_PHOTOS.value, _LABELLED.value, replace=False), 3
            )
        )
        for _ in range(_QUERIES.value)
    ]
    names = [f"photo {row}" for row in range(_PHOTOS.value)]
    return GroundTruth(
        names, [f"query {row}" for row in range(_QUERIES.value)], queries
    )


if __name__ == "__main__":
    flags.mark_flag_as_required("directory")
    app.run(main)
