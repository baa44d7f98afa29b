"""Indexes of local features find the photos of a place, and change."""

import numpy as np
import pytest

from agem_tf.descriptors.local_features import LocalFeatures
from agem_tf.errors import UserError
from agem_tf.retrieval import local_indexes
from agem_tf.retrieval.local_indexes import (
    Codebook,
    CodebookIndex,
    VotingIndex,
    vlad,
)

pytest.importorskip("faiss")


@pytest.fixture(scope="module")
def codebook(features):
    # More words than k-means would take from so few features.
    words = features.sample_descriptors(200) + 0.01
    return Codebook(words, features.provenance)


@pytest.fixture(params=["asmk", "asmk_binary", "votes"])
def empty_index(request, codebook, features):
    if request.param == "votes":
        sample = features.sample_descriptors(10_000)
        return VotingIndex.learn(
            sample, "IVF1,Flat", features.provenance, neighbours=4
        )
    return CodebookIndex(codebook, binary=request.param == "asmk_binary")


def check_finds_places(index, features):
    for name in features.names:
        if name not in index.names or not len(features[name]):
            continue
        similarities = index.similarities(features[name])
        assert similarities.shape == (len(index),)
        assert similarities.dtype == np.float32
        order = np.argsort(-similarities, kind="stable")
        place = name.partition("/")[0]
        same = [
            n.partition("/")[0] == place and len(features[n]) > 0
            for n in index.names
        ]
        best = [index.names[photo] for photo in order[: sum(same)]]
        assert all(n.partition("/")[0] == place for n in best)


def test_photos_of_a_place_are_found(empty_index, features):
    assert empty_index.add(features) == len(features)
    check_finds_places(empty_index, features)


def test_a_saved_index_gives_the_same(empty_index, features, tmp_path):
    empty_index.add(features)
    empty_index.save(tmp_path / "index")
    loaded = local_indexes.load_feature_index(tmp_path / "index")
    query = features[features.names[0]]
    np.testing.assert_array_equal(
        loaded.similarities(query), empty_index.similarities(query)
    )
    assert loaded.names == empty_index.names
    assert loaded.num_bytes == empty_index.num_bytes > 0


def test_adding_and_removing_equals_making_anew(
    empty_index, features, names, write_features, tmp_path
):
    first = write_features(tmp_path / "first", names[:7])
    whole = write_features(tmp_path / "whole", names, empty=names[8:9])
    empty_index.add(first)
    query = features[names[3]]
    before = empty_index.similarities(query)
    assert empty_index.add(whole) == len(names) - 7
    assert empty_index.add(whole) == 0
    check_finds_places(empty_index, whole)
    assert empty_index.remove(names[7:]) == len(names) - 7
    assert empty_index.names == names[:7]
    np.testing.assert_allclose(empty_index.similarities(query), before)
    empty_index.remove([names[0]])
    check_finds_places(empty_index, features)
    # Numbers of removed photos are not given to new ones.
    empty_index.add(first)
    assert empty_index.names == [*names[1:7], names[0]]
    check_finds_places(empty_index, first)


def test_a_change_writes_what_changes(
    empty_index, features, names, write_features, tmp_path
):
    """A photo that is added or removed leaves the files of many others."""
    many = write_features(tmp_path / "many", names[:12])
    directory = tmp_path / "index"
    empty_index.add(many)
    empty_index.save(directory)

    def stored():
        found = (directory / "parts").rglob("*.*")
        return {path: path.stat().st_ino for path in found}

    before = stored()
    with local_indexes.changed_feature_index(directory) as index:
        assert index.add(features) == 3
    after = stored()
    assert before.items() < after.items()
    with local_indexes.changed_feature_index(directory) as index:
        index.remove(names[1:3])
    assert stored() == after
    # The large part is half gone, and is written again without those photos.
    with local_indexes.changed_feature_index(directory) as index:
        index.remove(names[3:9])
    assert not before.items() <= stored().items()
    empty_index.add(features)
    empty_index.remove(names[1:9])
    loaded = local_indexes.load_feature_index(directory)
    assert loaded.names == empty_index.names == [names[0], *names[9:]]
    for query in features:
        np.testing.assert_array_equal(
            loaded.similarities(query), empty_index.similarities(query)
        )


def test_a_failed_change_leaves_the_index(
    empty_index, features, names, tmp_path
):
    empty_index.add(features)
    empty_index.save(tmp_path / "index")
    with (
        pytest.raises(UserError, match="has no photo 'none'"),
        local_indexes.changed_feature_index(tmp_path / "index") as index,
    ):
        index.remove(names[:2])
        index.remove(["none"])
    loaded = local_indexes.load_feature_index(tmp_path / "index")
    assert loaded.names == names


def test_a_query_without_features_finds_nothing(empty_index, features):
    nothing = LocalFeatures.none(features.dimension, (9, 9))
    assert empty_index.similarities(nothing).shape == (0,)
    empty_index.add(features)
    assert not empty_index.similarities(nothing).any()


def test_features_of_another_kind_are_refused(
    empty_index, features, names, write_features, tmp_path
):
    other = write_features(tmp_path / "other", names[:2], {"model": "other"})
    with pytest.raises(UserError, match="the local features and the index"):
        empty_index.add(other)
    with pytest.raises(UserError, match="16 dimensions, not 3"):
        empty_index.similarities(LocalFeatures.none(3, (9, 9)))
    with pytest.raises(UserError, match="has no photo 'none'"):
        empty_index.remove(["none"])


def test_the_kernel_is_that_of_the_paper(codebook, features):
    """ASMK written out per word, with one word per feature of a query."""

    def vectors(name):
        found = {}
        for row in np.asarray(features[name].descriptors, np.float64):
            word = np.square(codebook.words - row).sum(axis=1).argmin()
            found[word] = found.get(word, 0) + row - codebook.words[word]
        return {w: v / np.linalg.norm(v) for w, v in found.items()}

    index = CodebookIndex(codebook, binary=False)
    index.add(features)
    # A query with one feature per word has the words of a database photo.
    name = features.names[4]
    words = codebook.assign(features[name].descriptors, 5)
    query = {}
    for row, near in zip(features[name].descriptors, words, strict=True):
        for word in near:
            rest = row.astype(np.float64) - codebook.words[word]
            query[word] = query.get(word, 0) + rest
    query = {w: v / np.linalg.norm(v) for w, v in query.items()}
    for photo, similarity in zip(
        features.names, index.similarities(features[name]), strict=True
    ):
        other = vectors(photo)
        products = [query[w] @ other[w] for w in query.keys() & other.keys()]
        wanted = sum(u**3 for u in products if u > 0)
        wanted /= np.sqrt(len(query) * len(other))
        assert similarity == pytest.approx(wanted, abs=2e-3)


def test_bits_differ_by_their_share(codebook, features, names):
    """ASMK* written out for a query with one feature."""
    index = CodebookIndex(codebook, binary=True)
    index.add(features)
    row = np.asarray(features[names[4]].descriptors[:1], np.float32)
    query = LocalFeatures([[0, 0]], row, [1], [1], (9, 9))

    def signs(rows, word):
        return (rows - codebook.words[word]).sum(axis=0) > 0

    words = codebook.assign(row, 5)[0]
    for name, similarity in zip(names, index.similarities(query), strict=True):
        rows = np.asarray(features[name].descriptors, np.float32)
        nearest = codebook.assign(rows)[:, 0]
        wanted = 0
        for word in set(words) & set(nearest):
            ours, theirs = signs(row, word), signs(rows[nearest == word], word)
            wanted += max(1 - 2 * np.mean(ours != theirs), 0) ** 3
        wanted /= np.sqrt(len(words) * len(set(nearest)))
        assert similarity == pytest.approx(wanted, abs=1e-6)


def test_vlads_of_a_place_are_similar(codebook, features, names):
    rows = np.stack([vlad(f.descriptors, codebook) for f in features])
    assert rows.shape == (len(names), codebook.words.size)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    places = np.array([name.partition("/")[0] for name in names])
    order = np.argsort(-(rows @ rows.T), axis=1)[:, :3]
    assert (places[order] == places[:, None]).all()
    assert not vlad(np.empty((0, 16)), codebook).any()


def test_a_codebook_is_seeded_and_saved(features, tmp_path):
    sample = features.sample_descriptors(10_000)
    codebook, again = (
        Codebook.learn(sample, 16, provenance=features.provenance)
        for _ in range(2)
    )
    np.testing.assert_array_equal(again.words, codebook.words)
    codebook.save(tmp_path / "words")
    loaded = Codebook.load(tmp_path / "words")
    assert loaded.fingerprint == codebook.fingerprint
    assert loaded.provenance == features.provenance
    with pytest.raises(UserError, match="ask for at most"):
        Codebook.learn(sample, 1000)
    with pytest.raises(UserError, match="holds codebook"):
        CodebookIndex.load(tmp_path / "words")
    with pytest.raises(UserError, match="no index of local features"):
        local_indexes.load_feature_index(tmp_path / "words")


@pytest.mark.parametrize("file", ["entries.npy", "words.npy", "names.txt"])
def test_altered_files_are_refused(codebook, features, tmp_path, file, reseal):
    index = CodebookIndex(codebook, binary=True)
    index.add(features)
    index.save(tmp_path / "index")
    (path,) = (tmp_path / "index").rglob(file)
    content = bytearray(path.read_bytes())
    content[-5] ^= 0x7F
    path.write_bytes(content)
    with pytest.raises(UserError, match="differs from its checksum"):
        CodebookIndex.load(tmp_path / "index")
    # With a forged checksum too, nothing but a UserError.
    reseal(tmp_path / "index")
    try:
        loaded = CodebookIndex.load(tmp_path / "index")
        loaded.similarities(features[features.names[0]])
    except UserError:
        pass


def test_a_factory_that_does_not_fit_is_refused(features):
    sample = features.sample_descriptors(100)
    for factory in ("HNSW8", "nonsense", "IVF4,PQ7"):
        with pytest.raises(UserError, match="factory"):
            VotingIndex.learn(sample, factory)


@pytest.mark.parametrize("count", [1, 42, 750])
def test_few_features_are_learned_from(features, count):
    index = VotingIndex.learn(
        features.sample_descriptors(count), None, features.provenance, 4
    )
    index.add(features)
    check_finds_places(index, features)


def test_photos_without_features_are_nothing_to_learn_from(
    write_features, names, tmp_path
):
    sample = write_features(
        tmp_path / "set", names, empty=names
    ).sample_descriptors(10)
    with pytest.raises(UserError, match="No photo has local features"):
        VotingIndex.learn(sample)
    with pytest.raises(UserError, match="there are 0; give more photos"):
        Codebook.learn(sample, 1)
