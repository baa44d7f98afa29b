"""From descriptor sets to scores."""

import numpy as np
import pytest

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.errors import UserError
from agem_tf.evaluation.evaluating import evaluate_descriptors
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.evaluation.protocols.oxford import evaluate_oxford
from agem_tf.evaluation.protocols.revisited import evaluate_revisited
from agem_tf.retrieval.nearest import rank

_MADE = {"model": "a1b2"}


@pytest.fixture
def sets(tied):
    queries, database, truth = tied
    return (
        DescriptorSet(truth.database_names, database, _MADE),
        truth,
        DescriptorSet(truth.query_names, queries, _MADE),
    )


def _shuffled(descriptor_set, seed):
    order = np.random.default_rng(seed).permutation(len(descriptor_set.names))
    return DescriptorSet(
        [descriptor_set.names[i] for i in order],
        descriptor_set.descriptors[order],
        descriptor_set.provenance,
    )


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_descriptors_may_be_in_any_order(sets, seed):
    database, truth, queries = sets
    ranks = rank(queries.descriptors, database.descriptors)
    expected = evaluate_revisited(ranks, truth)
    if seed is not None:
        database, queries = _shuffled(database, seed), _shuffled(queries, seed)
    evaluation = evaluate_descriptors(database, truth, queries)
    np.testing.assert_array_equal(evaluation.ranks, ranks[:, :100])
    for part in ("easy", "medium", "hard"):
        np.testing.assert_array_equal(
            getattr(evaluation.scores, part).average_precisions,
            getattr(expected, part).average_precisions,
        )
    photo = ranks[3, 7]
    product = queries.descriptors[3] @ database.descriptors[photo]
    if seed is None:
        assert evaluation.similarity(3, photo) == product


def test_queries_without_boxes_are_looked_up_in_the_database():
    rows = np.eye(3, dtype=np.float32)[[0, 1, 0]]
    truth = GroundTruth.from_labels(list("abc"), [1, 2, 1])
    evaluation = evaluate_descriptors(
        DescriptorSet(list("cba"), rows[::-1]), truth, protocol="leave_one_out"
    )
    assert evaluation.scores.mean_average_precision == 1


def test_distractors_are_appended_to_the_database(sets):
    database, truth, queries = sets
    distractors = DescriptorSet(
        ["x", "y"], 9 * queries.descriptors[:2].astype(np.float16), _MADE
    )
    evaluation = evaluate_descriptors(
        database, truth, queries, distractors, "oxford", top=3
    )
    assert evaluation.database_names == [*truth.database_names, "x", "y"]
    assert evaluation.ranks[:2, 0].tolist() == [200, 201]
    together = np.concatenate([database.descriptors, distractors.descriptors])
    expected = evaluate_oxford(rank(queries.descriptors, together), truth)
    assert (
        evaluation.scores.mean_average_precision
        == expected.mean_average_precision
    )


def test_re_ranking_gets_all_descriptors_and_its_order_is_scored(sets):
    database, truth, queries = sets

    def turn(query_rows, database_rows):
        assert len(database_rows) == 200
        return -query_rows, database_rows, lambda query, values, order: order

    evaluation = evaluate_descriptors(database, truth, queries, rerank=turn)
    np.testing.assert_array_equal(
        evaluation.ranks, rank(-queries.descriptors, database.descriptors, 100)
    )


def test_names_of_files_match_names_of_photos(sets):
    """An index of photos has "jpg/church.jpg" for a benchmark's "church"."""
    database, truth, queries = sets
    files = [f"jpg/{name}.jpg" for name in database.names]
    indexed = _shuffled(DescriptorSet(files, database.descriptors, _MADE), 3)
    expected = evaluate_descriptors(database, truth, queries)
    evaluation = evaluate_descriptors(indexed, truth, queries)
    np.testing.assert_array_equal(evaluation.ranks, expected.ranks)
    twice = DescriptorSet(
        [*files, "other/photo 0.jpg"],
        np.concatenate([database.descriptors, database.descriptors[:1]]),
        _MADE,
    )
    with pytest.raises(UserError, match="200 of 200 database photo"):
        evaluate_descriptors(twice, truth, queries)


@pytest.mark.parametrize("role", ["query", "database", "distractor"])
def test_a_faulty_descriptor_is_named_by_its_photo(sets, role):
    database, truth, queries = sets
    distractors = DescriptorSet(["x", "y"], np.ones((2, 4)), _MADE)
    each = {"query": queries, "database": database, "distractor": distractors}
    each[role].descriptors[1, 2] = np.nan
    name = each[role].names[1]
    with pytest.raises(UserError, match=rf"photo '{name}' holds NaN"):
        evaluate_descriptors(database, truth, queries, distractors)


def test_a_photo_without_a_descriptor_is_named(sets):
    database, truth, queries = sets
    part = DescriptorSet(database.names[1:], database.descriptors[1:], _MADE)
    with pytest.raises(UserError, match="1 of 200 database photo.*'photo 0'"):
        evaluate_descriptors(part, truth, queries)
    with pytest.raises(UserError, match="9 of 9 query names.*'query 0'"):
        evaluate_descriptors(database, truth, database)


def test_boxes_need_descriptors_of_their_own():
    truth = GroundTruth(["a"], ["a"], [QueryTruth([], [], [0], (0, 0, 2, 2))])
    with pytest.raises(UserError, match="boxes in photos.*--queries"):
        evaluate_descriptors(DescriptorSet(["a"], np.ones((1, 2))), truth)


@pytest.mark.parametrize("role", ["queries", "distractors"])
def test_descriptors_of_another_provenance_are_refused(sets, role):
    database, truth, queries = sets
    given = {"queries": queries, "distractors": None}
    given[role] = DescriptorSet(
        queries.names, queries.descriptors, {"model": "other"}
    )
    with pytest.raises(UserError, match=rf"the {role} and the database differ"):
        evaluate_descriptors(database, truth, **given)


def test_other_dimensions_are_refused(sets):
    database, truth, queries = sets
    short = DescriptorSet(queries.names, queries.descriptors[:, :3], _MADE)
    with pytest.raises(UserError, match="3 dimensions and the database 4"):
        evaluate_descriptors(database, truth, short)
    with pytest.raises(UserError, match="one dimension, not 4 and 3"):
        evaluate_descriptors(database, truth, queries, short)


def test_an_unknown_protocol_is_refused(sets):
    with pytest.raises(UserError, match="Unknown protocol 'rparis'"):
        evaluate_descriptors(*sets, protocol="rparis")
