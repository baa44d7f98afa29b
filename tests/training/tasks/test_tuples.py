"""Tuples have the right landmarks and depend on seed and epoch only."""

import dataclasses

import numpy as np
import pytest

from agem_tf.config import MiningConfig
from agem_tf.datasets.prepared import Split
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.training.tasks.pairs import (
    AnsweredQueries,
    ListedPairs,
    find_pairs,
)
from agem_tf.training.tasks.tuples import TupleSampler

LABELS = np.repeat(np.arange(7), [4, 3, 5, 1, 2, 6, 3])
NAMES = [f"{i}.jpg" for i in range(len(LABELS))]
# Query 0 twice, query 8 with the same positive as query 9, landmark 3 nowhere.
PAIRS = np.array([[0, 1], [0, 2], [8, 10], [9, 10], [13, 14], [20, 16]])


def make_split(labels=LABELS, pairs=None):
    count = len(labels)
    return Split(
        name="train",
        names=[f"{i}.jpg" for i in range(count)],
        labels=labels,
        boxes=np.zeros((count, 4), np.float32),
        sizes=np.full((count, 2), 32, np.int32),
        files=np.zeros(count, np.int64),
        offsets=np.zeros(count, np.int64),
        store=None,
        pairs=pairs,
    )


def make_sampler(config, seed=0, truth=None):
    truth = truth or GroundTruth.from_labels(NAMES, LABELS)
    split = make_split()
    return TupleSampler(split, AnsweredQueries(split, truth), config, seed)


def make_listed_sampler(config, seed=0):
    split = make_split(pairs=PAIRS)
    return TupleSampler(split, ListedPairs(split), config, seed)


class Answers:
    """A dataset with nothing but a ground truth."""

    def __init__(self, truth=None):
        self.truth = truth

    def has_ground_truth(self, name):
        return self.truth is not None

    def ground_truth(self, name):
        assert name == "train"
        return self.truth


def describe(indices):
    rng = np.random.default_rng(3)
    table = rng.normal(size=(len(LABELS), 9)).astype(np.float32)
    return table[indices]


def hardest(query, photos, count):
    """Walks the photos one by one, the most similar first."""
    table = describe(np.arange(len(LABELS)))
    negatives, clusters = [], {LABELS[query]}
    for photo in sorted(photos, key=lambda i: -float(table[i] @ table[query])):
        if LABELS[photo] not in clusters and len(negatives) < count:
            negatives.append(photo)
            clusters.add(LABELS[photo])
    return negatives


@pytest.mark.parametrize("pool_size", [24, 18])
def test_only_query_and_positive_share_a_landmark(pool_size):
    tuples = make_sampler(MiningConfig(12, pool_size, 3)).draw(0, describe)
    assert tuples.shape == (12, 5)
    labels = LABELS[tuples]
    assert (labels[:, 0] == labels[:, 1]).all()
    assert (tuples[:, 0] != tuples[:, 1]).all()
    for row in labels:
        assert len({row[0], *row[2:]}) == 4
    assert len(set(tuples[:, 0])) == 12


@pytest.mark.parametrize("make", [make_sampler, make_listed_sampler])
def test_draws_depend_on_seed_and_epoch_only(make):
    config = MiningConfig(5, 18, 2)

    def draw(seed, epoch):
        return make(config, seed).draw(epoch, describe)

    np.testing.assert_array_equal(draw(1, 2), draw(1, 2))
    assert (draw(1, 2) != draw(1, 3)).any()
    assert (draw(1, 2) != draw(2, 2)).any()


def test_negatives_are_the_most_similar_of_their_landmarks():
    tuples = make_sampler(MiningConfig(24, 24, 1)).draw(0, describe)
    # The photo of landmark 3 is alone, so it is no part of any tuple.
    usable = np.flatnonzero(LABELS != 3)
    for query, _, *negatives in tuples:
        assert negatives == hardest(query, usable, 1)


def test_listed_pairs_are_drawn_as_they_are():
    sampler = make_listed_sampler(MiningConfig(4, 24, 2))
    assert sampler.num_tuples == 4
    listed = set(map(tuple, PAIRS))
    drawn = [
        set(map(tuple, sampler.draw(epoch, describe)[:, :2]))
        for epoch in range(20)
    ]
    assert all(len(pairs) == 4 and pairs < listed for pairs in drawn)
    # Each equally often: one that is left out 20 times would be no chance.
    assert set.union(*drawn) == listed


def test_negatives_of_listed_pairs_come_from_the_whole_split():
    sampler = make_listed_sampler(MiningConfig(6, 24, 4))
    tuples = sampler.draw(0, describe)
    for query, _, *negatives in tuples:
        assert negatives == hardest(query, range(len(LABELS)), 4)
    # In no pair, yet a negative: the only photo of landmark 3.
    assert 12 in tuples


def test_a_pool_of_an_epoch_is_part_of_the_split():
    sampler, seen = make_listed_sampler(MiningConfig(6, 15, 2)), []

    def describe_and_note(indices):
        seen.append(set(indices))
        return describe(indices)

    queries = set(PAIRS[:, 0])
    for epoch in range(9):
        tuples = sampler.draw(epoch, describe_and_note)
        assert set(tuples[:, 2:].ravel()) <= seen[-1]
    assert all(len(photos - queries) <= 15 for photos in seen)
    assert len(set(map(frozenset, seen))) == 9
    assert set.union(*seen) == set(range(len(LABELS)))


def test_validation_takes_all_pairs():
    few = make_listed_sampler(MiningConfig(2, 9, 3), seed=1)
    many = make_listed_sampler(MiningConfig(6, 24, 3), seed=1)
    tuples = few.draw_all(describe)
    np.testing.assert_array_equal(tuples, many.draw_all(describe))
    assert sorted(map(tuple, tuples[:, :2])) == list(map(tuple, PAIRS))
    for query, _, *negatives in tuples:
        assert negatives == hardest(query, range(len(LABELS)), 3)
    others = few.draw_all(lambda i: describe(len(LABELS) - 1 - i))
    np.testing.assert_array_equal(tuples[:, :2], others[:, :2])
    assert (tuples[:, 2:] != others[:, 2:]).any()


def test_a_pool_of_too_few_landmarks_is_refused():
    sampler = make_listed_sampler(MiningConfig(6, 3, 5))
    with pytest.raises(UserError, match="fewer than the 5 negatives wanted"):
        sampler.draw(0, describe)


def test_a_split_of_too_few_landmarks_is_refused():
    split = make_split(np.array([0, 0, 1, 2]), pairs=np.array([[0, 1]]))
    with pytest.raises(UserError, match="has 3 usable landmarks"):
        TupleSampler(split, ListedPairs(split), MiningConfig(1, 9, 3), 0)


def test_junk_is_in_no_tuple():
    queries = [
        QueryTruth(easy=[1], hard=[2], junk=[0, 3]),
        QueryTruth(easy=[5], hard=[], junk=[4, 6]),
    ]
    truth = GroundTruth(NAMES, ["0.jpg", "4.jpg"], queries)
    sampler = make_sampler(MiningConfig(9, 99, 1), truth=truth)
    assert sampler.num_tuples == 2
    drawn = [sampler.draw(epoch, describe) for epoch in range(9)]
    assert set(np.ravel(drawn)) == {0, 1, 2, 4, 5}


def test_listed_pairs_take_precedence_over_a_ground_truth():
    answers = Answers(GroundTruth.from_labels(NAMES, LABELS))
    assert len(find_pairs(make_split(pairs=PAIRS), answers)) == len(PAIRS)
    # Every photo but that of landmark 3.
    assert len(find_pairs(make_split(), answers)) == len(LABELS) - 1


def test_labels_alone_give_every_other_photo_of_a_landmark():
    labels = LABELS[::-1].copy()
    labels[3:5] = -1, -2  # Unlabelled.
    pairs = find_pairs(make_split(labels), Answers())
    usable = np.flatnonzero((labels >= 0) & (labels != 3))
    np.testing.assert_array_equal(pairs.candidates, usable)
    drawn = [
        pairs.draw(np.random.default_rng(seed), len(pairs))
        for seed in range(60)
    ]
    for queries, _ in map(np.transpose, drawn):
        np.testing.assert_array_equal(np.sort(queries), usable)
    assert set(map(tuple, np.concatenate(drawn))) == {
        (query, positive)
        for query in usable
        for positive in usable
        if query != positive and labels[query] == labels[positive]
    }


def test_labels_without_pairs_are_refused():
    split = make_split(np.arange(5))
    answers = Answers(GroundTruth.from_labels(split.names, split.labels))
    for dataset in (answers, Answers()):
        with pytest.raises(UserError, match="two photos"):
            find_pairs(split, dataset)
    empty = dataclasses.replace(split, pairs=np.empty((0, 2), np.int64))
    with pytest.raises(UserError, match="two photos"):
        find_pairs(empty, answers)
