"""Sequences of steps, their text form and their memory."""

import tracemalloc

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.files.rows import StackedRows
from agem_tf.retrieval import nearest
from agem_tf.retrieval.reranking import (
    DatabaseAugmentation,
    Diffusion,
    KReciprocal,
    OfflineDiffusion,
    PreparedReranking,
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
    augmented = augmentation.augmented(database)
    expanded = expansion.expanded(queries, augmented)
    expected = np.argsort(-(expanded @ augmented.T), axis=1, kind="stable")
    actual = rerank(queries, database, [augmentation, expansion])
    np.testing.assert_array_equal(actual, expected)
    swapped = rerank(queries, database, [expansion, augmentation])
    assert not np.array_equal(actual, swapped)


def test_a_ranking_step_sees_the_new_descriptors(descriptors):
    queries, database = descriptors
    augmentation, last = parse_rerank(["dba:5,1", "superglobal:30,4"])
    augmented = augmentation.augmented(database)
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


def test_graphs_of_too_few_photos_are_refused(descriptors):
    for text in ("diffusion:8", "offline_diffusion:8"):
        with pytest.raises(UserError, match="at least 80 .*Give at most 7"):
            rerank(*descriptors, parse_rerank([text]))
    assert rerank(*descriptors, parse_rerank(["diffusion:7"])).shape == (6, 70)


def test_prepared_steps_serve_many_queries(descriptors):
    queries, database = descriptors
    steps = parse_rerank(["dba:5,1", "qe:4,0", "diffusion:7,4"])
    prepared = PreparedReranking(database, steps)
    whole = rerank(queries, database, steps)
    for query in range(len(queries)):
        part = prepared.rank(queries[query : query + 1])
        np.testing.assert_array_equal(part, whole[query : query + 1])


def test_a_prepared_step_serves_many_queries(descriptors):
    queries, database = descriptors
    reorder = OfflineDiffusion(7, 4).prepare(database)
    whole = rerank(queries, database, [OfflineDiffusion(7, 4)])
    for start in (0, 4):
        part = rank_with(queries[start : start + 2], database, reorder)
        np.testing.assert_array_equal(part, whole[start : start + 2])


def test_invalid_calls_are_refused(descriptors):
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
    "diffusion:7,5",
    "offline_diffusion:7,5,20",
    "k_reciprocal:6,3",
    "superglobal:40",
]


@pytest.mark.parametrize("text", _TEXTS)
def test_more_neighbours_than_photos_are_refused(descriptors, text):
    """SuperGlobal may have more candidates than there are photos."""
    queries, database = descriptors
    with pytest.raises(UserError, match="needs num_.*, but .* has 4 photos"):
        rerank(queries, database[:4], parse_rerank([text]))


@pytest.mark.parametrize("text", _TEXTS)
def test_stacked_parts_on_disk_give_the_same_ranking(
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
def test_a_row_that_is_not_finite_is_named(descriptors, text):
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
    step.expanded(database[:1], database)
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


def test_arguments_in_text_are_positional():
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
def test_arguments_in_text_are_optional(text, step):
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
        ("qe:ten", "'qe:ten'.*a whole number, not 'ten'; write qe"),
        ("qe:2.5", "'qe:2.5'.*a whole number, not '2.5'; write qe"),
        ("qe:10,", "'qe:10,'.*alpha must be a number, not ''; write qe"),
        ("qe:10,1e300", "`alpha` must be from 0 to 1000"),
        ("dba:10,nan", "`alpha` must be from 0 to 1000"),
        ("superglobal:400,9,inf", "`beta` must be positive and finite"),
        ("superglobal:400,9,1e39", "`beta` must be at most 1000"),
        ("agem:3", "'agem:3': a preset takes no values; write agem"),
        ("dba:0", "`num_neighbours` must be positive"),
    ],
)
def test_invalid_text_is_refused_with_the_usage(text, message):
    with pytest.raises(UserError, match=message):
        parse_rerank([text])


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("qe:5,verify:5", "qe:5", "verify:5"),
        ("dba:20,1,qe:10,0", "dba:20,1", "qe:10,0"),
        ("agem verify", "agem", "verify"),
        ("qe:5; offline_diffusion:7", "qe:5", "offline_diffusion:7"),
    ],
)
def test_several_steps_in_one_text_are_refused_with_how_to_give_them(
    text, first, second
):
    with pytest.raises(
        UserError,
        match=f"several steps.* --rerank={first} --rerank={second} "
        rf"\(in a recipe, '{first} {second}'\)",
    ):
        parse_rerank([text])


def test_space_around_a_step_is_ignored():
    assert parse_rerank([" qe:4,0 "]) == [QueryExpansion(4, 0)]


def test_steps_after_a_ranking_step_are_refused():
    with pytest.raises(UserError, match="Diffusion gives a final ranking"):
        parse_rerank(["dba", "diffusion", "qe"])


def test_a_warning_says_when_most_neighbours_show_something_else(caplog):
    database = np.eye(70, dtype=np.float32)
    for specification in "qe:7", "dba:8", "dba:8":
        rerank(database[:1], database, parse_rerank([specification]))
    (warning,) = caplog.messages
    assert warning.startswith(
        "DatabaseAugmentation with num_neighbours=8 may lower the scores: of "
        "70 photos"
    )
    assert "Give at most 7" in warning
