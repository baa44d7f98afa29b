"""Searches with the steps of re-ranking of evaluations."""

import numpy as np
import pytest

from agem_tf import search
from agem_tf.errors import UserError
from agem_tf.library import photo_index, reranked_search
from agem_tf.library.photo_index import PhotoIndex
from agem_tf.retrieval import reranking
from agem_tf.retrieval.indexes import Origin, storage_at

PLACES, PHOTOS = 10, 4


@pytest.fixture(scope="module")
def rows():
    """Forty photos around ten directions; the number tells the place."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(PLACES, 6))
    photos = np.repeat(centres, PHOTOS, axis=0)
    photos += 0.6 * rng.normal(size=photos.shape)
    photos /= np.linalg.norm(photos, axis=1, keepdims=True)
    return photos.astype(np.float32)


@pytest.fixture(scope="module")
def place(rows, tmp_path_factory):
    """Place of an index of them, with the place of each as metadata.

    It has two segments, and holds the descriptor of a removed photo.
    """
    place = str(tmp_path_factory.mktemp("reranked") / "index")
    names = [f"{number}.jpg" for number in range(len(rows))]
    with storage_at(place).created() as draft:
        index = draft.start("exact", 6, Origin({"model": "m"}))
        index.add(["removed.jpg", *names[:30]], rows[[0, *range(30)]])
    with storage_at(place).changed() as stored:
        stored.index.add(names[30:], rows[30:])
        stored.index.remove(["removed.jpg"])
        for number, name in enumerate(names):
            stored.metadata.update(name, {"place": number // PHOTOS})
    return place


@pytest.mark.parametrize(
    "steps", [("qe:3,0",), ("dba:3,1", "qe:2,0"), ("k_reciprocal:4,2",), ()]
)
def test_the_order_is_that_of_an_evaluation(place, rows, steps):
    index = PhotoIndex.open(place)
    expected = reranking.rerank(rows, rows, reranking.parse_rerank(steps), 6)
    found = index.search_descriptors(rows, 6, rerank=steps)
    for query, ranking, matches in zip(rows, expected, found, strict=True):
        assert [match.name for match in matches] == [
            f"{number}.jpg" for number in ranking
        ]
        np.testing.assert_allclose(
            [match.similarity for match in matches],
            rows[ranking] @ query,
            atol=1e-6,
        )
        assert matches[0].metadata == {"place": ranking[0] // PHOTOS}


def test_a_filter_leaves_photos_out_before_re_ranking(place, rows):
    index = PhotoIndex.open(place)
    where = "place >= 5"
    half = rows[5 * PHOTOS :]
    steps = reranking.parse_rerank(["dba:3,1", "diffusion:2,2"])
    (ranking,) = reranking.rerank(rows[:1], half, steps, 5)
    found = index.search(
        "0.jpg", top=5, where=where, rerank=["dba:3,1", "diffusion:2,2"]
    )
    assert [match.name for match in found] == [
        f"{number + 5 * PHOTOS}.jpg" for number in ranking
    ]
    # Other steps and other filters are prepared again.
    assert index.search("0.jpg", rerank=["qe:2"])[0].name == "0.jpg"
    assert index.search("0.jpg", where="place > 99", rerank=["qe:2"]) == []


def test_searches_by_turns_are_prepared_once(place, monkeypatch):
    prepared = []

    class Counted(reranked_search.RerankedSearch):
        def __init__(self, index, steps, among):
            super().__init__(index, steps, among)
            prepared.append(among)

    monkeypatch.setattr(photo_index, "RerankedSearch", Counted)
    index = PhotoIndex.open(place)
    filters = [None, "place >= 5", "place < 5", "place >= 4"]
    first, second = (
        [
            index.search("0.jpg", where=where, rerank=["qe:2"])
            for where in filters
        ]
        for _ in range(2)
    )
    assert first == second and len(prepared) == len(filters)
    # Only the last ones are kept; the first filter's is made again.
    index.search("0.jpg", where="place >= 3", rerank=["qe:2"])
    assert index.search("0.jpg", rerank=["qe:2"]) == first[0]
    assert len(prepared) == len(filters) + 2


def test_the_query_itself_is_left_out_after_re_ranking(place):
    found = PhotoIndex.open(place).search(
        "0.jpg", top=3, exclude_self=True, rerank=["qe:3"]
    )
    assert len(found) == 3 and "0.jpg" not in {match.name for match in found}


def test_similar_photos_are_found_after_dissimilar_ones(place, rows):
    steps = ["dba:3,1", "qe:2,0"]
    least = np.sort(rows @ rows[0])[-8]
    found = PhotoIndex.open(place).search(
        "0.jpg", top=8, min_similarity=float(least) - 1e-6, rerank=steps
    )
    expected = np.flatnonzero(rows @ rows[0] >= least)
    assert {m.name for m in found} == {f"{number}.jpg" for number in expected}


def test_steps_that_compare_all_photos_have_a_largest_index(place, monkeypatch):
    monkeypatch.setattr(reranked_search, "_MOST_COMPARED", 39)
    index = PhotoIndex.open(place)
    for step in ("dba:3", "diffusion:3", "k_reciprocal:4,2"):
        with pytest.raises(UserError, match="compares every photo.* 40 takes"):
            index.search("0.jpg", rerank=[step])
    for step in ("qe:3", "superglobal:9,3"):
        assert len(index.search("0.jpg", rerank=[step])) == 10
    assert index.search("0.jpg", where="place > 1", rerank=["dba:3"])


def test_other_indexes_and_local_features_are_refused(place, rows, tmp_path):
    pytest.importorskip("faiss")
    other = str(tmp_path / "faiss")
    with storage_at(other).created() as draft:
        index = draft.start("Flat", 6, Origin({"model": "m"}))
        index.add([str(number) for number in range(len(rows))], rows)
    with pytest.raises(UserError, match="--factory=exact"):
        PhotoIndex.open(other).search(rows[0], rerank=["qe:3"])
    with pytest.raises(UserError, match="needs local features"):
        PhotoIndex.open(place).search(rows[0], rerank=["verify"])


def test_the_command_takes_the_steps_in_order(place, capsys):
    options = search.SearchOptions(
        photos=("0.jpg",), index=place, rerank=("dba:3,1", "qe:2"), top=2
    )
    (answer,) = search.main(options)
    assert len(answer.matches) == 2
    index = PhotoIndex.open(place)
    expected = index.search("0.jpg", top=2, rerank=["dba:3,1", "qe:2"])
    assert answer.matches == expected
    assert capsys.readouterr().out.startswith("0.jpg\n")
