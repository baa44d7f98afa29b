"""Features and errors of FAISS indexes."""

import pathlib
import shutil
import sys

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.retrieval.indexes import (
    FaissIndex,
    faiss_index,
    inverted_lists,
    storage_at,
)


def test_an_invalid_factory_string_is_refused():
    with pytest.raises(UserError, match="'HSNW32'.*choose another --factory"):
        FaissIndex("HSNW32", 16)


def test_adding_to_a_kind_that_cannot_grow_is_refused(make, names, descriptors):
    with (
        make("NSG8", count=200).changed() as stored,
        pytest.raises(UserError, match="'NSG8'.*incremental addition"),
    ):
        stored.index.add(names[200:], descriptors[200:])


def test_descriptors_of_other_than_unit_length_are_refused(names, descriptors):
    index = FaissIndex("Flat", 16)
    rows = descriptors[:3] * np.float32([[1], [1], [2]])
    with pytest.raises(UserError, match="length 1, that of .*é2.jpg. has 2;"):
        index.add(names[:3], rows)
    index.add(names[:3], descriptors[:3].astype(np.float16))
    with pytest.raises(UserError, match="'query 2' has 2;"):
        index.search(rows)


def test_too_few_photos_to_train_on_are_refused(names, descriptors):
    index = FaissIndex("IVF64,Flat", 16)
    with pytest.raises(UserError, match="'IVF64,Flat' for 60 desc.*points"):
        index.add(names[:60], descriptors[:60])
    assert len(index) == 0
    quantizer = FaissIndex("PQ8", 16)
    with pytest.raises(UserError, match="'PQ8' for 60 descriptors"):
        quantizer.add(names[:60], descriptors[:60])


def test_too_many_cells_are_refused_before_photos_are_read(tmp_path):
    storage = storage_at(str(tmp_path / "index"))
    storage.check("PCA8,IVF64,Flat", 16, 64)
    with pytest.raises(UserError, match="64 cells for 63 photos"):
        storage.check("PCA8,IVF64,Flat", 16, 63)


def test_searching_more_cells_finds_more_photos(make, descriptors):
    index = make("IVF60,Flat").open().index
    index.tune({"nprobe": 1})
    few = [len(matches) for matches in index.search(descriptors, 30)]
    index.tune({"nprobe": 60})
    all_cells = [len(matches) for matches in index.search(descriptors, 30)]
    assert all_cells == [30] * 300
    assert np.mean(few) < 20


def test_an_unknown_parameter_is_refused(make):
    for factory, parameters in (
        ("Flat", {"nprobe": 4}),
        ("IVF8,Flat", {"nprobe": "many"}),
        ("exact", {"nprobe": 4}),
    ):
        index = make(factory).open().index
        with pytest.raises(UserError, match="no parameter.*nprobe"):
            index.tune(parameters)


def test_removed_photos_that_stay_in_the_file_are_counted(
    make, names, descriptors
):
    storage = make("HNSW16")
    with storage.changed() as stored:
        stored.index.remove(names[:20])
    index = storage.open().index
    assert index.ghosts == 20
    (matches,) = index.search(descriptors[:1], 50)
    assert len({match.name for match in matches} - set(names[:20])) == 50


def test_what_a_change_leaves_equal_is_not_written_again(make, names):
    """HNSW can't remove: names and numbers change, vectors do not."""
    storage = make("HNSW16")
    for change in (
        lambda index: index.rename({names[3]: "new"}),
        lambda index: index.remove([names[4]]),
    ):
        with storage.changed() as stored:
            change(stored.index)
        (files,) = storage.open().index.save(None)
        assert files["vectors"] == "vectors.faiss"
        assert files["names"] != "names.txt"
    index = storage.open().index
    assert index.known(names) == {*names} - {names[3], names[4]}
    assert len(index) == 299 and index.known(["new"])


def test_an_index_of_an_earlier_version_can_change(
    tmp_path, names, descriptors
):
    index = FaissIndex("Flat", 16)
    index.add(names[:9], descriptors[:9])
    (files,) = index.save(tmp_path)
    (tmp_path / files.pop("places")).unlink()
    index = FaissIndex.load(tmp_path, "Flat", 16, files)
    index.rename({names[2]: "new"})
    index = FaissIndex.load(tmp_path, "Flat", 16, *index.save(tmp_path))
    (matches,) = index.search(descriptors[2:3], 1)
    assert matches[0].name == "new"


@pytest.mark.parametrize("factory", ["IVF8,Flat", "HNSW16", "RaBitQ,RFlat"])
def test_an_opened_index_stays_on_the_disk_until_it_changes(
    tmp_path, factory, descriptors
):
    rows = np.repeat(descriptors, 100, axis=0)
    index = FaissIndex(factory, 16)
    index.add([str(number) for number in range(len(rows))], rows)
    (files,) = index.save(tmp_path)
    expected = index.search(descriptors[:9], 5)
    index = FaissIndex.load(tmp_path, factory, 16, files)
    (tmp_path / "vectors.faiss").rename(tmp_path / "other")
    assert index.search(descriptors[:9], 5) == expected
    assert (
        str(tmp_path / "other") in pathlib.Path("/proc/self/maps").read_text()
    )
    (tmp_path / "other").rename(tmp_path / "vectors.faiss")
    index.add(["new"], descriptors[:1])
    assert len(index) == len(rows) + 1


@pytest.mark.parametrize(
    "factory", ["IVF8,Flat", "PCA8,IVF8,SQ8", "IVF8,RaBitQ"]
)
def test_large_lists_are_made_and_changed_on_the_disk(
    factory, make, names, descriptors, monkeypatch, tmp_path, capfd
):
    """What is found is what an index in memory finds."""

    def found(place):
        index = storage_at(str(place)).open().index
        index.tune({"nprobe": 8})
        return [
            {match.name: round(match.similarity, 4) for match in matches}
            for matches in index.search(descriptors, 5)
        ]

    make(factory, str(tmp_path / "memory"))
    monkeypatch.setattr(inverted_lists, "PART", 900)
    make(factory, str(tmp_path / "disk"))
    assert found(tmp_path / "disk") == found(tmp_path / "memory")
    # A copy elsewhere finds its own lists.
    shutil.move(tmp_path / "disk", tmp_path / "moved")
    storage = storage_at(str(tmp_path / "moved"))
    opened = storage.open()
    removed, new = names[5], ["a", "b"]
    with storage.changed() as stored:
        stored.index.add(new, descriptors[[7, 290]])
        stored.index.remove([removed])
        stored.index.rename({names[8]: "renamed"})
    (matches,) = opened.index.search(descriptors[5:6], 1)
    assert matches[0].name in names
    index = storage.open().index
    index.tune({"nprobe": 8})
    assert len(index) == 301 and index.ghosts == 1
    (matches,) = index.search(descriptors[5:6], 301)
    listed = {match.name for match in matches}
    assert len(matches) == 301 and removed not in listed
    assert {*new, "renamed"} <= listed
    lists = list((tmp_path / "moved").rglob("vectors.lists"))
    assert len(lists) == 1
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("factory", ["IVF8,Flat", "HNSW16", "PCA8,IVF8,SQ8"])
def test_a_few_photos_are_added_without_writing_a_large_index_again(
    factory, make, names, descriptors, monkeypatch, tmp_path
):
    monkeypatch.setattr(faiss_index, "LARGE", 0)
    monkeypatch.setattr(inverted_lists, "PART", 900)
    storage = make(factory, count=200)
    directory = tmp_path / "index"

    def files():
        stats = {p: p.stat() for p in directory.rglob("*") if p.is_file()}
        return {(p, s.st_ino, s.st_mtime_ns) for p, s in stats.items()}

    def found(row, top=1):
        (matches,) = storage.open().index.search(descriptors[[row]], top)
        return [match.name for match in matches]

    def of_faiss(kept):
        return {f for f in kept if f[0].name.startswith(("vectors", "ids"))}

    before = files()
    for row in range(200, 204):
        with storage.changed() as stored:
            stored.index.add([names[row]], descriptors[[row]])
    assert of_faiss(files()) == of_faiss(before)
    assert [found(row) for row in (5, 200, 203)] == [
        [names[row]] for row in (5, 200, 203)
    ]
    assert storage.open().index.known(names) == set(names[:204])
    with storage.changed() as stored:
        stored.index.remove([names[200]])
        stored.index.rename({names[201]: "renamed"})
    assert of_faiss(files()) == of_faiss(before)
    assert found(201) == ["renamed"]
    assert names[200] not in found(200, 200)
    # More than a share of the photos are taken in.
    with storage.changed() as stored:
        stored.index.remove([names[7], "renamed"])
        stored.index.add(names[204:], descriptors[204:])
    assert of_faiss(files()).isdisjoint(of_faiss(before))
    assert not list(directory.rglob("descriptors.npy"))
    kept = [*names[:7], *names[8:200], *names[202:]]
    index = storage.open().index
    assert set(index.names()) == set(kept) and len(index) == len(kept)
    assert [found(row) for row in (202, 299)] == [[names[202]], [names[299]]]


def test_a_missing_file_of_lists_is_one_sentence(
    monkeypatch, tmp_path, names, descriptors
):
    monkeypatch.setattr(inverted_lists, "PART", 900)
    index = FaissIndex("IVF8,Flat", 16)
    index.add(names, descriptors)
    (files,) = index.save(tmp_path)
    (tmp_path / files["lists"]).unlink()
    with pytest.raises(UserError, match="FAISS can't make .*vectors.lists"):
        FaissIndex.load(tmp_path, "IVF8,Flat", 16, files)


def test_codes_with_whole_descriptors_find_what_exact_search_finds():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2_000, 64))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows, names = rows.astype(np.float32), [str(n) for n in range(len(rows))]

    def found(factory, **parameters):
        index = FaissIndex(factory, 64)
        index.tune(parameters)
        index.add(names, rows)
        return [{m.name for m in each} for each in index.search(rows[:50], 10)]

    exact = found("Flat")

    def recall(*factory, **parameters):
        pairs = zip(found(*factory, **parameters), exact, strict=True)
        return np.mean([len(some & best) / 10 for some, best in pairs])

    assert recall("RaBitQ") + 0.3 < recall("RaBitQ,RFlat")
    assert recall("RaBitQ,RFlat", k_factor_rf=100) > 0.99


def test_a_failed_import_names_its_cause(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    inverted_lists.import_faiss.cache_clear()
    with pytest.raises(UserError, match="FAISS .* .*faiss.*; run pip") as error:
        FaissIndex("Flat", 16)
    assert isinstance(error.value.__cause__, ImportError)
    monkeypatch.undo()
    assert len(FaissIndex("Flat", 16)) == 0
