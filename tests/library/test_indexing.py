"""Photos and descriptors become an index, and more of them join it."""

import os
import shutil

import numpy as np
import PIL.Image
import pytest
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.whitening_learning import learn_pca
from agem_tf.errors import PartialResultError, UserError
from agem_tf.files.manifest import read_manifest, write_manifest
from agem_tf.library import describing, synchronization
from agem_tf.library.answers import (
    search_by_descriptors,
    search_by_photos,
)
from agem_tf.library.indexing import (
    add_descriptors,
    add_photos,
    index_descriptors,
    index_photos,
    remove_photos,
)
from agem_tf.library.photo_index import PhotoIndex
from agem_tf.library.synchronization import sync_photos
from agem_tf.photos.listing import list_folder
from agem_tf.retrieval.indexes import storage_at
from agem_tf.saved_models.retrieval_model import KIND, load_exported


def run(work, place, **settings):
    return work(storage_at(place), **settings)


def best(place, path, **options):
    (answer,) = search_by_photos(
        storage_at(place).open(), [str(path)], **options
    )
    return answer.matches


def test_a_photo_finds_itself_first_and_its_place_next(indexed, photos):
    path = photos / "deep0" / "deep1" / "place2 1.jpg"
    matches = best(indexed, path, top=12)
    assert matches[0].name == "deep0/deep1/place2 1.jpg"
    assert matches[0].similarity == pytest.approx(1, abs=1e-5)
    assert all("place2" in match.name for match in matches[:3])
    assert len(matches) == 12


def test_a_box_changes_what_is_searched_for(indexed, photos):
    path = photos / "place0 0.png"
    matches = best(indexed, path, box=(10, 10, 60, 50))
    assert matches[0].similarity < 0.9999
    with pytest.raises(UserError, match=r"not inside the 90 x 70 pixels of"):
        best(indexed, path, box=(10, 10, 91, 50))


def test_a_query_that_is_no_photo_is_one_sentence(indexed, tmp_path):
    (tmp_path / "no.jpg").write_text("no photo")
    with pytest.raises(UserError, match=r"no\.jpg is not a readable.*another"):
        best(indexed, tmp_path / "no.jpg")


def test_photos_of_two_folders_join(own_index, photos, tmp_path):
    more = tmp_path / "more"
    shutil.copytree(photos / "deep0" / "deep1", more)
    change = run(add_photos, own_index, photos=str(more))
    assert (change.added, change.present, change.total) == (6, 0, 18)
    change = run(add_photos, own_index, photos=str(more))
    assert (change.added, change.present, change.total) == (0, 6, 18)
    twins = best(own_index, more / "place2 1.jpg", top=2)
    assert {photos.joinpath(twin.name).resolve() for twin in twins} == {
        more / "place2 1.jpg",
        photos / "deep0" / "deep1" / "place2 1.jpg",
    }


def test_files_that_are_not_photos_are_counted(own_index, photos, tmp_path):
    for name in ("a.mov", "sub/b.MOV", "c.nef", "README", ".hidden"):
        (tmp_path / "more" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "more" / name).touch()
    shutil.copy(photos / "place0 0.png", tmp_path / "more")
    change = run(add_photos, own_index, photos=str(tmp_path / "more"))
    assert (
        "files that are not photos: 2 .mov, 1 without suffix, 1 .nef"
        in change.summary().splitlines()
    )


def test_a_broken_photo_is_left_out_and_listed(own_index, photos, tmp_path):
    more = tmp_path / "more"
    more.mkdir()
    (more / "broken.jpg").write_bytes(b"\xff\xd8\xffbroken")
    with pytest.raises(UserError, match="None of the photos"):
        run(add_photos, own_index, photos=str(more))
    assert len(storage_at(own_index).open().index) == 12
    shutil.copy(photos / "place0 0.png", more)
    shutil.copy(photos / "place0 0.png", more / "line\nbreak.png")
    change = run(add_photos, own_index, photos=str(more))
    assert (change.added, change.total) == (1, 13)
    assert "2 skipped" in change.summary()
    assert sorted(each["photo"] for each in change.skipped) == [
        repr(str(more / "line\nbreak.png")),
        str(more / "broken.jpg"),
    ]
    listed = storage_at(own_index).open().unreadable
    assert {os.path.basename(name) for name in listed} == {
        "line\nbreak.png",
        "broken.jpg",
    }
    with pytest.raises(PartialResultError, match=r"2 of 3 .*66\.7 %.*--sync"):
        change.check_share(66)
    change.check_share(67)
    assert PartialResultError.status == 3
    # It is not read again as long as it is the same file.
    change = run(add_photos, own_index, photos=str(more))
    assert (change.added, change.present, len(change.skipped)) == (0, 1, 2)


def test_a_damaged_photo_is_named_and_found(
    own_index, photos, tmp_path, caplog, capfd
):
    more = tmp_path / "more"
    more.mkdir()
    encoded = (photos / "deep0" / "place1 1.jpg").read_bytes()
    damaged = more / "damaged.jpg"
    damaged.write_bytes(encoded[:-2] + bytes(99) + encoded[-2:])
    run(add_photos, own_index, photos=str(more))
    assert best(own_index, damaged)[0].similarity == pytest.approx(1, abs=1e-5)
    # Once by the index, once by the query.
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert all(f"{damaged}: Corrupt JPEG data" in line for line in told)
    assert "Corrupt" not in capfd.readouterr().err


@pytest.fixture
def living(photos, own_index, tmp_path):
    """A copy of the photos and its index."""
    folder = shutil.copytree(photos, tmp_path / "living")
    run(sync_photos, own_index, photos=str(folder))
    return folder


@pytest.fixture(params=["directory", "milvus"])
def followed(request, photos, own_index, run_directory, tmp_path):
    """Place of an index of the folder `living`, of either kind."""
    folder = shutil.copytree(photos, tmp_path / "living")
    if request.param == "directory":
        run(sync_photos, own_index, photos=str(folder))
        return own_index
    pytest.importorskip("milvus_lite")
    place = f"milvus:{tmp_path}/photos.db"
    run(index_photos, place, photos=str(folder), workdir=str(run_directory))
    return place


def test_an_index_follows_its_folder(followed, photos, tmp_path):
    own_index, living = followed, tmp_path / "living"
    with storage_at(followed).changed() as stored:
        for name in ("deep0/place1 1.jpg", "place0 1.jpg"):
            stored.metadata.update(name, {"year": 2020})
    # Described again: another photo under an old name. Not: a touched one.
    shutil.copy(photos / "deep0" / "place1 1.jpg", living / "place0 1.jpg")
    os.utime(living / "place0 2.jpg", (1, 1))
    (living / "new").mkdir()
    (living / "deep0" / "place1 1.jpg").rename(living / "new" / "moved.jpg")
    (living / "deep0" / "place1 2.jpg").unlink()
    PIL.Image.new("RGB", (80, 60), "red").save(living / "new" / "red.png")
    change = run(sync_photos, own_index)
    assert (change.added, change.updated, change.renamed) == (1, 1, 1)
    assert (change.removed, change.total) == (1, 12)
    matches = best(own_index, living / "new" / "moved.jpg", top=2)
    assert {match.name for match in matches} == {
        "place0 1.jpg",
        "new/moved.jpg",
    }
    assert [match.similarity for match in matches] == pytest.approx([1, 1])
    names = storage_at(own_index).open().index.names()
    assert sorted(names) == sorted(
        os.path.relpath(path, living) for path in list_folder(str(living))
    )
    dated = {"new/moved.jpg", "place0 1.jpg"}
    assert dict(storage_at(own_index).open().metadata.read()) == {
        name: {"year": 2020} for name in dated
    }
    found = PhotoIndex.open(own_index).search(
        living / "new" / "red.png", where="year = 2020"
    )
    assert {match.name for match in found} == dated
    change = run(sync_photos, own_index)
    assert (change.present, change.total) == (12, 12)
    assert change.summary() == "12 there already; 12 photos"


def test_a_folder_that_moved_is_asked_for(own_index, living, tmp_path):
    moved = living.rename(tmp_path / "moved")
    with pytest.raises(UserError, match="living, which is not there; give"):
        run(sync_photos, own_index)
    with pytest.raises(UserError, match=r"12 of their names.*--sync --photos"):
        run(add_photos, own_index, photos=str(moved))
    (tmp_path / "other").mkdir()
    PIL.Image.new("RGB", (80, 60), "red").save(tmp_path / "other" / "red.png")
    with pytest.raises(UserError, match="None of the 12 photos of the index"):
        run(sync_photos, own_index, photos=str(tmp_path / "other"))
    change = run(sync_photos, own_index, photos=str(moved))
    assert (change.added, change.present, change.total) == (0, 12, 12)
    assert storage_at(own_index).open().origin.photos == str(moved)


def test_a_photo_that_broke_is_dropped(followed, tmp_path):
    own_index, living = followed, tmp_path / "living"
    (living / "place0 1.jpg").write_bytes(b"\xff\xd8\xffbroken")
    change = run(sync_photos, own_index)
    assert (change.removed, change.total, len(change.skipped)) == (1, 11, 1)
    change = run(sync_photos, own_index)
    assert (change.present, change.total, len(change.skipped)) == (11, 11, 1)


def test_folders_and_patterns_are_removed(followed):
    own_index = followed
    change = run(remove_photos, own_index, names=["deep0/deep1", "*.png"])
    # Six in the folder, of which two are PNG, and two more of those.
    assert (change.removed, change.total) == (8, 4)
    with pytest.raises(UserError, match=r"no photo 'deep0/x\*'; give names"):
        run(remove_photos, own_index, names=["deep0/x*"])


def test_an_interrupted_extraction_is_resumed(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(describing, "_BLOCK", 4)
    folder = str(shutil.copytree(photos, tmp_path / "photos"))
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    paths = list_folder(folder)
    described: list[str] = []

    class Extractor:
        dimension, provenance = 2, {"model": "m", "scales": (1.0,)}

        def files(self, coming, skip, positions):
            assert coming == [paths[position] for position in positions]
            for path in coming:
                if len(described) == 10:
                    raise KeyboardInterrupt
                described.append(path)
                yield [path], np.full((1, 2), len(described), np.float32)

    def describe():
        return describing.describe_photos(
            Extractor(), paths, folder, workspace
        ).photos

    with pytest.raises(KeyboardInterrupt):
        describe()
    # One photo has changed since.
    os.utime(paths[1], (1, 1))
    described = [""]
    result = describe()
    assert described == ["", paths[1], *paths[10:]]
    found = result.descriptors[:, 0].tolist()
    assert found == [*range(1, 11), 3, 4]
    Extractor.provenance = {"model": "another"}
    described = [""] * 20
    assert describe().descriptors[:, 0].tolist() == list(range(21, 33))


def test_a_pca_of_the_photos_shortens_them(photos, run_directory, tmp_path):
    place, settings = str(tmp_path / "short"), {"workdir": str(run_directory)}
    run(index_photos, place, photos=str(photos), dimension=6, **settings)
    stored = storage_at(place).open()
    assert stored.index.dimension == 6
    assert stored.origin.provenance["whitening"].endswith(" 6")
    path = photos / "deep0" / "place1 2.jpg"
    matches = best(place, path)
    assert matches[0].name == "deep0/place1 2.jpg"
    assert matches[0].similarity == pytest.approx(1, abs=1e-4)
    change = run(add_photos, place, photos=str(photos))
    assert (change.added, change.present) == (0, 12)
    with pytest.raises(UserError, match="12 photos.*at most 11.*=12"):
        run(
            index_photos,
            place + "2",
            photos=str(photos),
            dimension=12,
            **settings,
        )


def test_descriptors_and_photos_search_the_same_index(
    extracted, run_directory, photos, tmp_path
):
    pytest.importorskip("faiss")
    described = DescriptorSet.load(extracted)
    whitening = learn_pca(
        described.descriptors, provenance=described.provenance
    )
    whitening.save(tmp_path / "whitening")
    place = str(tmp_path / "index")
    run(
        index_descriptors,
        place,
        descriptors=extracted,
        workdir=str(run_directory),
        whitening=str(tmp_path / "whitening"),
        dimension=5,
        factory="HNSW16",
    )
    stored = storage_at(place).open()
    assert stored.index.dimension == 5
    path = photos / "deep0" / "place1 2.jpg"
    for matches in (
        best(place, path),
        search_by_descriptors(stored, extracted)[5].matches,
    ):
        assert matches[0].name == "deep0/place1 2.jpg"
        assert matches[0].similarity == pytest.approx(1, abs=1e-3)


def test_milvus_finds_what_a_directory_finds(
    indexed, run_directory, photos, tmp_path
):
    pytest.importorskip("milvus_lite")
    place = f"milvus:{tmp_path}/photos.db"
    settings = {"photos": str(photos), "workdir": str(run_directory)}
    run(index_photos, place, **settings)
    path = photos / "deep0" / "place1 2.jpg"
    for expected, found in zip(
        best(indexed, path), best(place, path), strict=True
    ):
        assert found.name == expected.name
        assert found.similarity == pytest.approx(expected.similarity, abs=1e-5)
    change = run(add_photos, place, photos=str(photos))
    assert (change.added, change.present, change.total) == (0, 12, 12)
    # A model that photos were described by is not replaced by another.
    with pytest.raises(UserError, match="photos.db.model and .* in image"):
        run(index_photos, place, image_size=96, **settings)
    assert len(storage_at(place).open().index) == 12


def test_photos_are_not_added_with_the_model_of_another_index(
    run_directory, photos, tmp_path
):
    pytest.importorskip("milvus_lite")
    place = f"milvus:{tmp_path}/photos.db"
    other = str(tmp_path / "other")
    settings = {"photos": str(photos), "workdir": str(run_directory)}
    run(index_photos, place, **settings)
    run(index_photos, other, image_size=96, **settings)
    storage = storage_at(place, model=f"{other}/model")
    more = shutil.copytree(photos / "deep0", tmp_path / "more")
    with pytest.raises(UserError, match="other/model and .* differ in image"):
        add_photos(storage, str(more))
    assert len(storage_at(place).open().index) == 12


def test_a_model_in_the_way_is_found_before_photos_are_read(
    indexed, run_directory, tmp_path
):
    pytest.importorskip("milvus_lite")
    shutil.copytree(f"{indexed}/model", tmp_path / "photos.db.model")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "unread.jpg").touch()
    with pytest.raises(UserError, match="photos.db.model and .* in image"):
        run(
            index_photos,
            f"milvus:{tmp_path}/photos.db",
            photos=str(tmp_path / "photos"),
            workdir=str(run_directory),
            image_size=96,
        )


@pytest.mark.parametrize("missed", [False, True])
def test_a_photo_that_is_renamed_during_a_listing_is_moved(
    own_index, living, monkeypatch, missed
):
    """As a listing returns it under its old name, or under none."""
    old, new = "place0 0.png", "newer.png"
    with storage_at(own_index).changed() as stored:
        stored.metadata.update(old, {"year": 2020})

    def list_once(*arguments):
        monkeypatch.setattr(synchronization, "list_folder", list_folder)
        paths = list_folder(*arguments)
        os.rename(living / old, living / new)
        return [p for p in paths if not (missed and p == str(living / old))]

    monkeypatch.setattr(synchronization, "list_folder", list_once)
    change = run(sync_photos, own_index)
    assert (change.renamed, change.removed, change.added) == (1, 0, 0)
    assert not change.skipped
    assert dict(storage_at(own_index).open().metadata.read()) == {
        new: {"year": 2020}
    }


@pytest.mark.parametrize("place", ["{}/index", "milvus:{}/photos.db"])
def test_nothing_is_left_of_an_index_of_unreadable_photos(
    run_directory, tmp_path, place
):
    pytest.importorskip("milvus_lite")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "bad.jpg").write_text("no photo")
    with pytest.raises(UserError, match="None of the photos can be read"):
        run(
            index_photos,
            place.format(tmp_path),
            photos=str(tmp_path / "photos"),
            workdir=str(run_directory),
        )
    assert os.listdir(tmp_path) == ["photos"]


def test_a_forged_model_in_the_way_is_found_before_photos_are_read(
    indexed, run_directory, tmp_path
):
    """Whoever searches the new index would run it."""
    pytest.importorskip("milvus_lite")
    model = tmp_path / "model"
    shutil.copytree(f"{indexed}/model", model)
    path = model / "saved_model.pb"
    saved = SavedModel.FromString(path.read_bytes())
    saved.meta_graphs[0].graph_def.node.add(name="w", op="WriteFile")
    path.write_bytes(saved.SerializeToString())
    made = read_manifest(f"{indexed}/model", KIND)["provenance"]
    write_manifest(model, KIND, provenance=made)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "unread.jpg").touch()
    storage = storage_at(f"milvus:{tmp_path}/photos.db", str(model))
    with pytest.raises(
        UserError, match="model holds the operation 'WriteFile'"
    ):
        index_photos(
            storage,
            photos=str(tmp_path / "photos"),
            workdir=str(run_directory),
        )
    assert sorted(os.listdir(tmp_path)) == ["model", "photos"]
    assert not storage.exists


def test_many_encoded_photos_pass_in_batches(indexed, photos):
    extractor = load_exported(storage_at(indexed).open().model)
    encoded = (photos / "deep0" / "place1 1.jpg").read_bytes()
    rows = extractor.encoded([encoded] * 35)
    np.testing.assert_allclose(rows, np.tile(rows[:1], (35, 1)), atol=1e-6)
    assert extractor.encoded([]).shape == (0, extractor.dimension)


def test_descriptors_alone_need_no_model(extracted, photos, tmp_path):
    pytest.importorskip("faiss")
    place = str(tmp_path / "index")
    change = run(
        index_descriptors, place, descriptors=extracted, factory="Flat"
    )
    assert (change.added, change.total) == (12, 12)
    answers = search_by_descriptors(storage_at(place).open(), extracted, top=1)
    assert all(answer.query == answer.matches[0].name for answer in answers)
    with pytest.raises(UserError, match="no model for photos.*--workdir"):
        best(place, photos / "place0 0.png")
    with pytest.raises(UserError, match="no model for photos"):
        run(add_photos, place, photos=str(photos / "deep0"))


def test_descriptors_join_an_index_of_photos(own_index, extracted, tmp_path):
    described = DescriptorSet.load(extracted)
    described.names[3:5] = ["new 3", "new 4"]
    described.save(tmp_path / "more")
    change = run(add_descriptors, own_index, descriptors=str(tmp_path / "more"))
    assert (change.added, change.present, change.total) == (2, 10, 14)
    rows = described.descriptors[3:4]
    twins = storage_at(own_index).open().index.search(rows, 2)[0]
    assert "new 3" in {twin.name for twin in twins}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model", "another"),
        ("scales", [1.0, 0.5]),
        ("whitening", "pca a1b2 7"),
    ],
)
def test_descriptors_made_otherwise_are_refused(
    key, value, own_index, extracted, tmp_path
):
    described = DescriptorSet.load(extracted)
    other = DescriptorSet(
        described.names,
        described.descriptors,
        described.provenance | {key: value},
    )
    other.save(tmp_path / "other")
    other = str(tmp_path / "other")
    with pytest.raises(UserError, match=f"other and .*index differ in {key}"):
        run(add_descriptors, own_index, descriptors=other)
    with pytest.raises(UserError, match=f"differ in {key}"):
        search_by_descriptors(storage_at(own_index).open(), other)


def test_a_whitening_of_other_scales_is_refused_at_once(
    photos, run_directory, extracted, tmp_path
):
    described = DescriptorSet.load(extracted)
    scales = {"scales": [1.0, 0.5]}
    learn_pca(
        described.descriptors, provenance=described.provenance | scales
    ).save(tmp_path / "whitening")
    for work, source in (
        (index_photos, {"photos": str(photos)}),
        (index_descriptors, {"descriptors": extracted}),
    ):
        with pytest.raises(UserError, match="the whitening and.*in scales"):
            run(
                work,
                str(tmp_path / "index"),
                workdir=str(run_directory),
                whitening=str(tmp_path / "whitening"),
                **source,
            )
    assert not (tmp_path / "index").exists()


def test_altered_descriptors_are_refused(extracted, tmp_path):
    copy = shutil.copytree(extracted, tmp_path / "copy")
    rows = np.load(copy / "descriptors.npy")
    rows[7, 2] = np.nan
    np.save(copy / "descriptors.npy", rows)
    with pytest.raises(UserError, match=r"descriptors\.npy differs"):
        run(index_descriptors, str(tmp_path / "i"), descriptors=str(copy))


def test_altered_descriptors_are_not_searched_by(indexed, extracted, tmp_path):
    copy = shutil.copytree(extracted, tmp_path / "copy")
    rows = np.load(copy / "descriptors.npy")
    np.save(copy / "descriptors.npy", -rows)
    with pytest.raises(UserError, match=r"descriptors\.npy differs"):
        search_by_descriptors(storage_at(indexed).open(), str(copy))
