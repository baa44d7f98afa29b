"""Contract of all kinds of indexes in all storages."""

import numpy as np
import pytest

from agem_tf.errors import UserError

EXACT = ["exact", "Flat"]
REMOVING = [*EXACT, "SQ8", "IVF8,Flat", "PCA12,Flat", "PCA12,IVF8,SQ8"]
WITH_GHOSTS = ["HNSW16", "HNSW16,SQ8", "IVF8,SQ8,RFlat"]
KINDS = [*REMOVING, *WITH_GHOSTS, "milvus"]


@pytest.fixture(params=KINDS)
def storage(request, make, tmp_path):
    """An index of 250 of the 300 photos."""
    if request.param == "milvus":
        pytest.importorskip("milvus_lite")
        return make("exact", f"milvus:{tmp_path}/photos.db", count=250)
    return make(request.param, count=250)


def found_names(index, queries, top):
    return [
        [match.name for match in matches]
        for matches in index.search(queries, top)
    ]


def test_a_photo_finds_itself_and_its_cluster(storage, names, descriptors):
    index = storage.open().index
    assert len(index) == 250
    answers = index.search(descriptors[:250:7], 10)
    for row, matches in zip(range(0, 250, 7), answers, strict=True):
        same = {names[row // 10 * 10 + i] for i in range(10)}
        assert len(same & {match.name for match in matches}) >= 8
        values = [match.similarity for match in matches]
        assert values == sorted(values, reverse=True)


def test_added_photos_are_found_after_reopening(storage, names, descriptors):
    with storage.changed() as stored:
        stored.index.add(names[250:], descriptors[250:])
    index = storage.open().index
    assert len(index) == 300
    assert index.known(names) == set(names)
    (matches,) = found_names(index, descriptors[250:251], 5)
    assert matches[0] == names[250]


def test_removed_photos_are_not_found_again(storage, names, descriptors):
    gone = [names[0], names[3], names[249]]
    with storage.changed() as stored:
        stored.index.remove(gone)
        in_memory = found_names(stored.index, descriptors[:1], 247)
    index = storage.open().index
    assert len(index) == 247
    assert index.known(names) == set(names[:250]) - set(gone)
    for matches in (*found_names(index, descriptors[:4], 10), *in_memory):
        assert not set(matches) & set(gone)
        assert len(matches) >= 10


def test_a_removed_photo_can_be_added_again(storage, names, descriptors):
    with storage.changed() as stored:
        stored.index.remove(names[5:10])
    with storage.changed() as stored:
        stored.index.add(names[7:8], descriptors[299:])
        stored.index.add(["new"], descriptors[5:6])
    index = storage.open().index
    assert len(index) == 247
    for row, name in ((299, names[7]), (5, "new")):
        assert name in found_names(index, descriptors[row : row + 1], 10)[0]


def test_invalid_photos_to_add_are_refused(storage, names, descriptors):
    index = storage.open().index
    with pytest.raises(UserError, match="place's 0/é0.jpg.* only once"):
        index.add(names[:1], descriptors[:1])
    with pytest.raises(UserError, match="'twice'.* only once"):
        index.add(["twice", "twice"], descriptors[:2])
    with pytest.raises(UserError, match="of 16 dimensions.*shape .2, 8"):
        index.add(["a", "b"], descriptors[:2, :8])
    broken = descriptors[:2].copy()
    broken[1, 3] = np.nan
    with pytest.raises(UserError, match="'b' holds NaN"):
        index.add(["a", "b"], broken)
    assert len(index) == 250


def test_invalid_searches_are_refused(storage, descriptors):
    index = storage.open().index
    with pytest.raises(
        UserError, match="holds 250 photos; give --top=1 to --top=250.*=251"
    ):
        index.search(descriptors, 251)
    with pytest.raises(UserError, match="--top=0"):
        index.search(descriptors, 0)
    with pytest.raises(UserError, match="16 dimensions"):
        index.search(descriptors[:, :4])
    with pytest.raises(UserError, match="query 1.*infinite"):
        index.search(np.array([descriptors[0], descriptors[1] * np.inf]))


def test_invalid_removals_are_refused(storage, names):
    index = storage.open().index
    with pytest.raises(UserError, match="no photo 'missing'"):
        index.remove([names[0], "missing"])
    with pytest.raises(UserError, match="would be empty"):
        index.remove(names[:250])
    assert len(index) == 250


@pytest.mark.parametrize("factory", EXACT)
def test_exact_search_is_the_dot_product(factory, make, names, descriptors):
    index = make(factory).open().index
    similarities = descriptors[:9] @ descriptors.T
    for row, matches in enumerate(index.search(descriptors[:9], 40)):
        expected = dict(zip(names, similarities[row], strict=True))
        found = [match.similarity for match in matches]
        best = sorted(expected.values(), reverse=True)[:40]
        np.testing.assert_allclose(found, best, atol=1e-6)
        np.testing.assert_allclose(
            found, [expected[match.name] for match in matches], atol=1e-6
        )


def test_the_default_is_ten_photos_or_all_of_a_smaller_index(make, descriptors):
    assert len(make("exact").open().index.search(descriptors[:1])[0]) == 10
    few = make("exact", count=4)
    assert len(few.open().index.search(descriptors[:1])[0]) == 4
