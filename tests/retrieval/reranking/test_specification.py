"""Steps as text."""

import pytest

from agem_tf.errors import UserError
from agem_tf.retrieval.reranking import (
    DatabaseAugmentation,
    Diffusion,
    KReciprocal,
    OfflineDiffusion,
    QueryExpansion,
    SuperGlobal,
    parse_rerank,
)


def test_values_are_taken_in_order():
    assert parse_rerank(["dba:20,1", "qe:3,0.5", "k_reciprocal:15,4,0.2"]) == [
        DatabaseAugmentation(20, 1.0),
        QueryExpansion(3, 0.5),
        KReciprocal(15, 4, 0.2),
    ]
    assert parse_rerank([]) == []


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("diffusion", Diffusion(50, 10)),
        ("offline_diffusion:30", OfflineDiffusion(30, 10)),
        ("superglobal", SuperGlobal(400, 9, 0.15)),
        ("k_reciprocal", KReciprocal(20, 6, 0.3)),
    ],
)
def test_values_may_be_left_out(text, step):
    assert parse_rerank([text]) == [step]


def test_the_preset_of_the_paper_augments_and_then_expands():
    """Alpha is 1 for the database and 0, the plain average, for queries."""
    augmentation, expansion, last = parse_rerank(["agem", "diffusion"])
    assert isinstance(augmentation, DatabaseAugmentation)
    assert isinstance(expansion, QueryExpansion)
    assert (augmentation.alpha, expansion.alpha) == (1, 0)
    assert last == Diffusion()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("aqe", r"'aqe'. Known: dba\[:num_neighbours,alpha\], .*qe.*: agem"),
        ("qe:10,0,5", r"too many values; write qe\[:num_neighbours,alpha\]"),
        ("qe:ten", "'qe:ten'.*write qe"),
        ("qe:2.5", "'qe:2.5'.*write qe"),
        ("qe:10,", "'qe:10,'.*write qe"),
        ("dba:0", "`num_neighbours` must be positive"),
    ],
)
def test_mistakes_name_what_is_known(text, message):
    with pytest.raises(UserError, match=message):
        parse_rerank([text])


def test_nothing_follows_a_final_ranking():
    with pytest.raises(UserError, match="Diffusion gives a final ranking"):
        parse_rerank(["dba", "diffusion", "qe"])
