"""Tuples have the right landmarks and follow from seed and epoch alone."""

import numpy as np
import pytest

from agem_tf.config import MiningConfig
from agem_tf.data.prepared import Split
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.training.tuples import TupleSampler

LABELS = np.repeat(np.arange(7), [4, 3, 5, 1, 2, 6, 3])
NAMES = [f"{i}.jpg" for i in range(len(LABELS))]


def make_split(labels=LABELS):
    nothing = np.zeros(len(labels), np.int64)
    boxes = np.zeros((len(labels), 4), np.float32)
    names = [f"{i}.jpg" for i in range(len(labels))]
    return Split("train", names, labels, boxes, nothing, nothing, None)


def make_sampler(config, seed=0, truth=None):
    truth = truth or GroundTruth.from_labels(NAMES, LABELS)
    return TupleSampler(make_split(), truth, config, seed)


def describe(indices):
    rng = np.random.default_rng(3)
    table = rng.normal(size=(len(LABELS), 9)).astype(np.float32)
    return table[indices]


@pytest.mark.parametrize("pool_size", [24, 18])
def test_roles_have_their_landmarks(pool_size):
    tuples = make_sampler(MiningConfig(12, pool_size, 3)).draw(0, describe)
    assert tuples.shape == (12, 5)
    labels = LABELS[tuples]
    assert (labels[:, 0] == labels[:, 1]).all()
    assert (tuples[:, 0] != tuples[:, 1]).all()
    for row in labels:
        assert len({row[0], *row[2:]}) == 4
    assert len(set(tuples[:, 0])) == 12


def test_draws_depend_on_seed_and_epoch_only():
    config = MiningConfig(12, 24, 2)

    def draw(seed, epoch):
        return make_sampler(config, seed).draw(epoch, describe)

    np.testing.assert_array_equal(draw(1, 2), draw(1, 2))
    assert (draw(1, 2) != draw(1, 3)).any()
    assert (draw(1, 2) != draw(2, 2)).any()


def test_negatives_are_the_most_similar_of_their_landmarks():
    tuples = make_sampler(MiningConfig(24, 24, 1)).draw(0, describe)
    table = describe(np.arange(len(LABELS)))
    for query, _, negative in tuples:
        # The photo of landmark 3 is alone, so it is no part of any tuple.
        others = np.flatnonzero((LABELS != LABELS[query]) & (LABELS != 3))
        best = others[np.argmax(table[others] @ table[query])]
        assert negative == best


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


def test_labels_without_pairs_are_refused():
    split = make_split(np.arange(5))
    truth = GroundTruth.from_labels(split.names, split.labels)
    with pytest.raises(UserError, match="two photos"):
        TupleSampler(split, truth, MiningConfig(), 0)
