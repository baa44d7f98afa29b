"""Tuples have the right landmarks and follow from seed and epoch alone."""

import numpy as np
import pytest

from agem_tf.config import MiningConfig
from agem_tf.errors import UserError
from agem_tf.training.tuples import TupleSampler

LABELS = np.repeat(np.arange(7), [4, 3, 5, 1, 2, 6, 3])


def describe(indices):
    rng = np.random.default_rng(3)
    table = rng.normal(size=(len(LABELS), 9)).astype(np.float32)
    return table[indices]


@pytest.mark.parametrize("pool_size", [24, 18])
def test_roles_have_their_landmarks(pool_size):
    sampler = TupleSampler(LABELS, MiningConfig(12, pool_size, 3), seed=1)
    tuples = sampler.draw(0, describe)
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
        return TupleSampler(LABELS, config, seed).draw(epoch, describe)

    np.testing.assert_array_equal(draw(1, 2), draw(1, 2))
    assert (draw(1, 2) != draw(1, 3)).any()
    assert (draw(1, 2) != draw(2, 2)).any()


def test_negatives_are_the_most_similar_of_their_landmarks():
    config = MiningConfig(24, 24, 1)
    tuples = TupleSampler(LABELS, config, 0).draw(0, describe)
    table = describe(np.arange(len(LABELS)))
    for query, _, negative in tuples:
        others = np.flatnonzero(LABELS != LABELS[query])
        best = others[np.argmax(table[others] @ table[query])]
        assert negative == best


def test_labels_without_pairs_are_refused():
    with pytest.raises(UserError, match="two photos"):
        TupleSampler(np.arange(5), MiningConfig(), 0)
