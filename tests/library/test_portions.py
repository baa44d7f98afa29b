"""Portions of the photos, described elsewhere, make the same index."""

import shutil

import numpy as np
import pytest

from agem_tf import index
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.errors import UserError
from agem_tf.extraction import photo_files
from agem_tf.files.manifest import begin_manifest
from agem_tf.files.portions import (
    Portion,
    load_portions,
    portions_in,
    remove_portions,
)
from agem_tf.library import describing
from agem_tf.library.indexing import describe_portion, index_photos
from agem_tf.retrieval.indexes import storage_at


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """So that the twelve photos fill several batches of each portion."""
    monkeypatch.setattr(photo_files, "BATCH", 2)


@pytest.mark.parametrize("total", [0, 1, 7, 64, 1000])
@pytest.mark.parametrize("count", [1, 3, 16])
def test_portions_are_all_photos_in_order(total, count):
    edges = [
        Portion(number, count).borders(total, 8)
        for number in range(1, count + 1)
    ]
    assert edges[0][0] == 0 and edges[-1][1] == total
    for (_, end), (first, _) in zip(edges, edges[1:], strict=False):
        assert end == first and (first % 8 == 0 or first == total)


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/0", "a/b", "-1/4"])
def test_a_number_of_how_many_is_asked_for(text):
    with pytest.raises(UserError, match="from 1/16 to 16/16"):
        Portion.parse(text)


def test_portions_make_the_index_of_one_process(
    photos, run_directory, tmp_path, capsys, monkeypatch
):
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    (folder / "bad.jpg").write_bytes(b"no photo")
    one, many = str(tmp_path / "one"), str(tmp_path / "many")
    made = {"workdir": str(run_directory)}
    index_photos(storage_at(one), str(folder), **made)

    def run(**options):
        return index.main(
            index.IndexOptions(
                photos=str(folder), index=many, max_bad=50, **made, **options
            )
        )

    for shard in ("1/3", "3/3"):
        run(shard=shard)
    assert "Shard 3/3" in capsys.readouterr().out
    calls = []
    extract = photo_files.FileExtractor.encoded

    def counted(self, encoded, boxes=None):
        calls.append(len(encoded))
        return extract(self, encoded, boxes)

    monkeypatch.setattr(photo_files.FileExtractor, "encoded", counted)
    # A finished portion is not described again.
    assert run(shard="1/3").added == 4 - 1
    assert not calls
    # The portion of a lost worker is described by the last process.
    change = run()
    assert (change.added, len(change.skipped)) == (12, 1)
    assert sum(calls) == 4
    first, second = (storage_at(place).open().index for place in (one, many))
    assert first.names() == second.names()
    np.testing.assert_array_equal(first.descriptors, second.descriptors)
    assert not (tmp_path / "many.shards").exists()


def test_shards_of_another_model_are_kept(photos, run_directory, tmp_path):
    place, shards = str(tmp_path / "index"), str(tmp_path / "shards")
    made = {"photos": str(photos), "workdir": str(run_directory)}
    describe_portion(
        shards=shards, portion=Portion(1, 3), image_size=96, **made
    )
    with pytest.raises(UserError, match="00001-of-00003 was described by an"):
        index_photos(storage_at(place), shards=shards, **made)
    index_photos(storage_at(place), shards=shards, image_size=96, **made)
    assert not (tmp_path / "shards").exists()


def test_a_shard_whose_upload_was_killed_is_not_read(tmp_path):
    shard = Portion(1, 2).place(tmp_path)
    shard.mkdir()
    begin_manifest(shard, "descriptors")
    assert load_portions([shard], DescriptorSet.load, ["a.jpg"], {}) == {}


def test_a_directory_without_shards_is_refused(photos, tmp_path):
    options = index.IndexOptions(
        photos=str(photos),
        index=str(tmp_path / "index"),
        shards=str(tmp_path / "none"),
    )
    with pytest.raises(UserError, match="There are no shards in"):
        index.main(options)


def test_one_process_at_a_time_has_a_portion(photos, tmp_path):
    portion, shards = Portion(1, 2), tmp_path / "shards"
    with portion.workspace(shards):
        with pytest.raises(UserError, match="Another process is working on"):
            describe_portion(str(photos), str(shards), portion)
        with Portion(2, 2).workspace(shards):
            pass
        remove_portions(portions_in(shards))
        assert portions_in(shards) == [portion.place(shards)]
    remove_portions(portions_in(shards))
    assert not shards.exists()
    assert describing.photo_name("/a/b", "/a") == "b"
