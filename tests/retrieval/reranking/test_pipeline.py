"""Steps one after the other, in bounded memory."""

import tracemalloc

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.files.rows import StackedRows
from agem_tf.retrieval import nearest
from agem_tf.retrieval.reranking import (
    Diffusion,
    OfflineDiffusion,
    QueryExpansion,
    SuperGlobal,
    k_reciprocal,
    parse_rerank,
    rank_with,
    rerank,
)


def test_steps_are_applied_in_order(descriptors):
    queries, database = descriptors
    augmentation, expansion = parse_rerank(["dba:5,1", "qe:4,0"])
    _, augmented = augmentation.transform(queries, database)
    expanded, _ = expansion.transform(queries, augmented)
    expected = np.argsort(-(expanded @ augmented.T), axis=1, kind="stable")
    actual = rerank(queries, database, [augmentation, expansion])
    np.testing.assert_array_equal(actual, expected)
    swapped = rerank(queries, database, [expansion, augmentation])
    assert not np.array_equal(actual, swapped)


def test_a_ranking_step_sees_the_new_descriptors(descriptors):
    queries, database = descriptors
    augmentation, last = parse_rerank(["dba:5,1", "superglobal:30,4"])
    _, augmented = augmentation.transform(queries, database)
    np.testing.assert_array_equal(
        rerank(queries, database, [augmentation, last]),
        rerank(queries, augmented, [last]),
    )


def test_without_steps_the_ranking_is_exact(descriptors):
    np.testing.assert_array_equal(
        rerank(*descriptors, top=8), nearest.rank(*descriptors, top=8)
    )


@pytest.mark.parametrize("top", [1, 8, 100])
def test_a_shorter_ranking_is_the_start_of_the_whole(descriptors, top):
    step = Diffusion(7, 4)
    np.testing.assert_array_equal(
        rerank(*descriptors, [step], top),
        rerank(*descriptors, [step])[:, :top],
    )


def test_what_is_prepared_serves_many_queries(descriptors):
    queries, database = descriptors
    reorder = OfflineDiffusion(7, 4).prepare(database)
    whole = rerank(queries, database, [OfflineDiffusion(7, 4)])
    for start in (0, 4):
        part = rank_with(queries[start : start + 2], database, reorder)
        np.testing.assert_array_equal(part, whole[start : start + 2])


def test_faulty_calls_are_refused(descriptors):
    queries, database = descriptors
    steps = [SuperGlobal(), *parse_rerank(["qe"])]
    with pytest.raises(UserError, match="SuperGlobal gives a final ranking"):
        rerank(queries, database, steps)
    with pytest.raises(UserError, match="3 dimensions and the database 9"):
        rerank(queries[:, :3], database, [SuperGlobal()])
    with pytest.raises(ValueError, match="top=0"):
        rerank(queries, database, [SuperGlobal()], top=0)


_TEXTS = [
    "dba:20,1",
    "qe:10,0",
    "diffusion:10,5",
    "offline_diffusion:10,5,20",
    "k_reciprocal:6,3",
    "superglobal:40",
]


@pytest.mark.parametrize("text", _TEXTS)
def test_more_neighbours_than_photos_are_refused(descriptors, text):
    """SuperGlobal's candidates are as many as there are."""
    queries, database = descriptors
    with pytest.raises(UserError, match="needs num_.*, but .* has 4 photos"):
        rerank(queries, database[:4], parse_rerank([text]))


@pytest.mark.parametrize("text", _TEXTS)
def test_a_database_of_parts_on_disk_is_re_ranked_alike(
    descriptors, tmp_path, text
):
    queries, database = (rows.astype(np.float16) for rows in descriptors)
    np.save(tmp_path / "second.npy", database[30:])
    second = np.load(tmp_path / "second.npy", mmap_mode="r")
    steps = parse_rerank([text])
    np.testing.assert_array_equal(
        rerank(queries, StackedRows([database[:30], second]), steps),
        rerank(queries, database.astype(np.float32), steps),
    )


@pytest.mark.parametrize("text", _TEXTS)
def test_a_faulty_row_of_the_database_is_named(descriptors, text):
    queries, database = descriptors
    database[13, 2] = np.nan
    with pytest.raises(UserError, match="Row 13 of the database"):
        rerank(queries, database, parse_rerank([text]))


def test_expansion_reads_only_the_neighbours_of_the_queries(
    monkeypatch, tmp_path
):
    """One query among 20,000 photos on disk, which take 5 MB."""
    monkeypatch.setattr(nearest, "_BLOCK_VALUES", 2**12)
    rng = np.random.default_rng(0)
    np.save(tmp_path / "rows.npy", rng.normal(size=(20_000, 64)).astype("f4"))
    database = np.load(tmp_path / "rows.npy", mmap_mode="r")
    step = QueryExpansion(10)
    tracemalloc.start()
    step.transform(database[:1], database)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < database.nbytes / 10


@pytest.mark.parametrize("text", _TEXTS)
def test_memory_stays_below_a_matrix_of_all_pairs(monkeypatch, text):
    photos = 1000
    monkeypatch.setattr(nearest, "_BLOCK_VALUES", 50_000)
    monkeypatch.setattr(nearest, "_PRODUCT_VALUES", 50_000)
    monkeypatch.setattr(k_reciprocal, "_BLOCK_VALUES", 50_000)
    rng = np.random.default_rng(0)
    database = rng.normal(size=(photos, 24)).astype(np.float32)
    database /= np.linalg.norm(database, axis=1, keepdims=True)
    steps = parse_rerank([text])
    tracemalloc.start()
    rerank(database[:3], database, steps)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < photos * photos * database.itemsize / 2
