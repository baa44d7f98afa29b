"""Places of labelled photos against those of a sorted database."""

import tracemalloc

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.evaluation import places
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.evaluation.places import (
    Places,
    count_before,
    search_database,
)
from agem_tf.evaluation.protocols.gldv2 import evaluate_landmark_retrieval
from agem_tf.evaluation.protocols.oxford import evaluate_oxford
from agem_tf.evaluation.protocols.revisited import evaluate_revisited
from agem_tf.evaluation.protocols.ukbench import evaluate_ukbench
from agem_tf.files.rows import StackedRows
from agem_tf.retrieval import nearest


def _sorted(queries, database):
    return np.argsort(-(queries @ database.T), axis=1, kind="stable")


@pytest.mark.parametrize("distinct", [1, 3, 1000])
def test_photos_before_are_counted_as_a_stable_sort_places_them(distinct):
    rng = np.random.default_rng(distinct)
    similarities = rng.integers(distinct, size=500).astype(np.float32)
    photos = rng.choice(500, 60, replace=False)
    positions = np.argsort(np.argsort(-similarities, kind="stable"))
    np.testing.assert_array_equal(
        count_before(similarities, photos), positions[photos]
    )


def test_a_query_without_labels_has_no_positions():
    unlabelled = np.empty(0, np.int64)
    assert count_before(np.ones(5, np.float32), unlabelled).shape == (0,)


@pytest.mark.parametrize(
    "evaluate",
    [
        lambda *given: evaluate_revisited(*given).easy,
        lambda *given: evaluate_revisited(*given).medium,
        lambda *given: evaluate_revisited(*given).hard,
        evaluate_oxford,
        evaluate_landmark_retrieval,
    ],
)
@pytest.mark.parametrize("block_values", [10, 500, 2**27])
def test_scores_are_those_of_the_sorted_database(
    monkeypatch, tied, evaluate, block_values
):
    monkeypatch.setattr(places, "_BLOCK_VALUES", block_values)
    monkeypatch.setattr(nearest, "_BLOCK_VALUES", 100)
    queries, database, truth = tied
    found = search_database(queries, database, truth.queries, top=5)
    expected = evaluate(_sorted(queries, database), truth)
    actual = evaluate(found.places, truth)
    assert actual.mean_average_precision == expected.mean_average_precision
    np.testing.assert_array_equal(
        actual.average_precisions, expected.average_precisions
    )


def test_ukbench_is_that_of_the_sorted_database(tied):
    queries, database, truth = tied
    found = search_database(queries, database, truth.queries, top=5)
    np.testing.assert_array_equal(
        evaluate_ukbench(found.places, truth).true_in_top_4,
        evaluate_ukbench(_sorted(queries, database), truth).true_in_top_4,
    )


@pytest.mark.parametrize("top", [1, 30, 200, 500])
def test_the_best_photos_are_the_start_of_the_ranking(tied, top):
    queries, database, truth = tied
    found = search_database(queries, database, truth.queries, top)
    expected = _sorted(queries, database)[:, :top]
    np.testing.assert_array_equal(found.ranks, expected)
    products = np.take_along_axis(queries @ database.T, expected, axis=1)
    np.testing.assert_array_equal(found.similarities, products)


def test_distractors_from_disk_lower_the_scores(tied, tmp_path):
    queries, database, truth = tied
    rng = np.random.default_rng(7)
    distractors = rng.integers(-2, 3, size=(300, 4)).astype(np.float16)
    np.save(tmp_path / "distractors.npy", distractors)
    mapped = np.load(tmp_path / "distractors.npy", mmap_mode="r")
    stack = StackedRows([database, mapped])
    found = search_database(queries, stack, truth.queries, top=5)
    together = np.concatenate([database, distractors])
    expected = evaluate_revisited(_sorted(queries, together), truth)
    actual = evaluate_revisited(found.places, truth)
    alone = evaluate_revisited(_sorted(queries, database), truth)
    for part in ("easy", "medium", "hard"):
        score = getattr(actual, part).mean_average_precision
        assert score == getattr(expected, part).mean_average_precision
        assert score < getattr(alone, part).mean_average_precision


def test_a_new_order_of_each_query_is_scored(tied):
    queries, database, truth = tied

    def turn(query, similarities, order):
        np.testing.assert_array_equal(similarities, database @ query)
        return order[::-1]

    found = search_database(queries, database, truth.queries, 7, turn)
    turned = _sorted(queries, database)[:, ::-1]
    np.testing.assert_array_equal(found.ranks, turned[:, :7])
    np.testing.assert_array_equal(
        evaluate_oxford(found.places, truth).average_precisions,
        evaluate_oxford(turned, truth).average_precisions,
    )


def test_memory_is_that_of_a_block_of_similarities(monkeypatch):
    """Forty queries of 50,000 photos would be 8 MB, and 16 MB sorted."""
    monkeypatch.setattr(places, "_BLOCK_VALUES", 4 * 50_000)
    monkeypatch.setattr(nearest, "_BLOCK_VALUES", 2**14)
    rng = np.random.default_rng(0)
    database = rng.normal(size=(50_000, 3)).astype(np.float16)
    queries = [QueryTruth([5, i], [7], [8]) for i in range(20, 60)]
    tracemalloc.start()
    search_database(database[:40], database, queries, 10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 50_000 * 4 + 2**21


def test_places_come_from_rankings_too():
    truth = GroundTruth(
        list("abcde"), ["q", "r"], [QueryTruth([1], [3], [0])] * 2
    )
    found = Places.in_rankings(np.array([[4, 3, 9, 1], [0, 2, -1, -1]]), truth)
    assert [photos.tolist() for photos in found.photos] == [[3, 1], [0]]
    assert [p.tolist() for p in found.positions] == [[1, 3], [0]]


def test_rankings_of_other_queries_are_refused(tied):
    _, _, truth = tied
    with pytest.raises(UserError, match=r"9 queries, .* shape \(2, 3\)"):
        Places.in_rankings(np.zeros((2, 3), int), truth)
