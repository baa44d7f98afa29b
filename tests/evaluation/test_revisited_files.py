"""The published files of revisited Oxford and Paris, if available.

AGEM_REVISITED=DIRECTORY names the folder with gnd_roxford5k.pkl and
gnd_rparis6k.pkl (http://cmp.felk.cvut.cz/revisitop/data/datasets/).
"""

import os
import pathlib

import numpy as np
import pytest

from agem_tf.evaluation.ground_truth_files import load_published
from agem_tf.evaluation.protocols.revisited import evaluate_revisited

_DIRECTORY = pathlib.Path(os.environ.get("AGEM_REVISITED", "nowhere"))
_PARTS = {
    "easy": ("easy", ("junk", "hard")),
    "medium": ("easy+hard", ("junk",)),
    "hard": ("hard", ("junk", "easy")),
}

pytestmark = pytest.mark.skipif(
    not _DIRECTORY.is_dir(), reason="AGEM_REVISITED names no folder"
)


@pytest.fixture(params=["roxford5k", "rparis6k"])
def truth(request):
    return load_published(_DIRECTORY / f"gnd_{request.param}.pkl")


def _by_loop(ranking, query, part):
    """The formulas, one photo of the ranking at a time."""
    wanted, ignored = _PARTS[part]
    positive = {p for n in wanted.split("+") for p in getattr(query, n)}
    junk = {p for n in ignored for p in getattr(query, n)}
    score, found, position = 0.0, 0, 0
    for photo in ranking.tolist():
        if photo in junk:
            continue
        if photo in positive:
            before = found / position if position else 1.0
            found += 1
            score += (before + found / (position + 1)) / 2 / len(positive)
        position += 1
    return score if positive else np.nan


@pytest.mark.parametrize("part", _PARTS)
def test_random_rankings_score_what_the_formulas_say(truth, part):
    rng = np.random.default_rng(0)
    photos = len(truth.database_names)
    ranks = np.stack([rng.permutation(photos) for _ in truth.queries])
    scores = getattr(evaluate_revisited(ranks, truth), part)
    expected = [
        _by_loop(ranking, query, part)
        for ranking, query in zip(ranks, truth.queries, strict=True)
    ]
    np.testing.assert_allclose(scores.average_precisions, expected)
    assert scores.mean_average_precision < 0.1


@pytest.mark.parametrize("part", _PARTS)
def test_perfect_rankings_score_1_and_reversed_ones_little(truth, part):
    photos = np.arange(len(truth.database_names))
    wanted, ignored = _PARTS[part]
    perfect = []
    for query in truth.queries:
        key = np.full(len(photos), 2)
        for name in wanted.split("+"):
            key[getattr(query, name)] = 1
        # Junk goes first, which must not matter.
        for name in ignored:
            key[getattr(query, name)] = 0
        perfect.append(np.argsort(key, kind="stable"))
    perfect = np.array(perfect)
    scores = getattr(evaluate_revisited(perfect, truth), part)
    assert scores.mean_average_precision == pytest.approx(1)
    assert set(scores.mean_precision_at.values()) == {1}
    worst = getattr(evaluate_revisited(perfect[:, ::-1], truth), part)
    assert worst.mean_average_precision < 0.05
