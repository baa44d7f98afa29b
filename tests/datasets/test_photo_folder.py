"""The user's own photos become a dataset, and bad ones are named."""

import json
import logging
import shutil

import numpy as np
import PIL.Image
import pytest
import tensorflow_datasets as tfds

from agem_tf.datasets.photo_folder import PhotoFolder
from agem_tf.datasets.preparation import prepare
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.errors import UserError
from agem_tf.pages.photo_sources import load_photo

FILES = ("0.jpg", "1.png", "2.pgm")
SPLITS = {"validation": "place4", "test": "place5,place3"}


def prepare_folder(source, directory, **options):
    return prepare(
        "photo_folder",
        directory,
        {"source": str(source), **SPLITS, **options},
    )


@pytest.fixture
def prepared(photo_folder, tmp_path):
    return prepare_folder(photo_folder, tmp_path / "data")


def test_splits_hold_whole_landmarks(prepared):
    counts = {
        split: (facts["photos"], facts["landmarks"], facts["queries"])
        for split, facts in prepared.manifest["splits"].items()
    }
    assert counts == {
        "train": (9, 3, 9),
        "validation": (3, 1, 3),
        "test": (6, 2, 6),
    }
    train, test = prepared.split("train"), prepared.split("test")
    assert not set(train.labels) & set(test.labels)


def test_joined_splits_hold_both(prepared):
    joined = prepared.split("train+test")
    assert len(joined) == 15
    assert joined.names[9:] == prepared.split("test").names


def test_records_are_read_by_tensorflow_datasets(prepared):
    builder = tfds.builder_from_directory(prepared.directory / "records")
    examples = list(tfds.as_numpy(builder.as_dataset(split="test")))
    names = {example["name"].decode() for example in examples}
    assert names == set(prepared.split("test").names)
    assert all(example["image"].shape[-1] == 3 for example in examples)


def test_tensorflow_datasets_prepares_the_same_photos(
    photo_folder, prepared, tmp_path
):
    builder = PhotoFolder(
        data_dir=str(tmp_path / "tfds"), source=str(photo_folder), **SPLITS
    )
    builder.download_and_prepare()
    examples = tfds.as_numpy(builder.as_dataset(split="test"))
    names = [example["name"].decode() for example in examples]
    assert names == prepared.split("test").names


def test_every_photo_is_a_query_and_itself_left_out(prepared):
    truth = prepared.ground_truth("test")
    split = prepared.split("test")
    assert truth.query_names == split.names
    for position, query in enumerate(truth.queries):
        assert query.junk.tolist() == [position]
        same = np.flatnonzero(split.labels == split.labels[position])
        assert sorted([*query.easy, position]) == same.tolist()


def test_a_grey_pgm_keeps_its_pixels(prepared):
    split = prepared.split("test")
    photo = load_photo(split, split.names.index("place3/2.pgm"))
    assert photo.size == (30, 20)
    assert set(np.asarray(photo).ravel()) == {120}


def test_finished_work_is_kept_and_other_options_are_refused(
    photo_folder, prepared
):
    before = (prepared.directory / "manifest.json").stat().st_mtime_ns
    prepare_folder(photo_folder, prepared.directory)
    assert (prepared.directory / "manifest.json").stat().st_mtime_ns == before
    with pytest.raises(UserError, match="--overwrite"):
        prepare_folder(photo_folder, prepared.directory, test="place5")


def test_verify_names_an_altered_file(prepared):
    PreparedDataset(prepared.directory).verify()
    record = next((prepared.directory / "records").glob("*test.tfrecord*"))
    content = bytearray(record.read_bytes())
    content[len(content) // 2] ^= 1
    record.write_bytes(content)
    with pytest.raises(UserError, match=record.name):
        PreparedDataset(prepared.directory).verify()


@pytest.mark.parametrize("content", [b"", b"not a photo"])
def test_an_unreadable_photo_is_named_and_nothing_is_left(
    photo_folder, tmp_path, content
):
    (photo_folder / "place1" / "bad.jpg").write_bytes(content)
    with pytest.raises(UserError, match=r"place1/bad\.jpg.*--skip_bad"):
        prepare_folder(photo_folder, tmp_path / "data")
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_truncated_photo_is_named(photo_folder, tmp_path):
    path = photo_folder / "place1" / "0.jpg"
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(UserError, match="place1/0.jpg"):
        prepare_folder(photo_folder, tmp_path / "data")


def test_skip_bad_counts_and_lists(photo_folder, tmp_path):
    (photo_folder / "place1" / "bad.jpg").write_bytes(b"")
    (photo_folder / "place2" / "0.jpg").unlink()
    (photo_folder / "place2" / "1.png").unlink()
    (photo_folder / "place6").mkdir()
    prepared = prepare_folder(photo_folder, tmp_path / "data", skip_bad=True)
    skipped = json.loads((tmp_path / "data" / "manifest.json").read_text())
    names = sorted(entry["photo"] for entry in skipped["skipped"])
    assert names == ["place1/bad.jpg", "place2", "place6"]
    assert prepared.manifest["splits"]["train"]["photos"] == 6


def test_skipping_all_photos_of_a_split_is_an_error(photo_folder, tmp_path):
    for path in (photo_folder / "place4").iterdir():
        path.write_bytes(b"")
    with pytest.raises(UserError, match="validation has no usable photo"):
        prepare_folder(photo_folder, tmp_path / "data", skip_bad=True)


def test_a_landmark_with_one_photo_is_named(photo_folder, tmp_path):
    (photo_folder / "place2" / "0.jpg").unlink()
    (photo_folder / "place2" / "1.png").unlink()
    with pytest.raises(UserError, match="'place2' has 1 usable"):
        prepare_folder(photo_folder, tmp_path / "data")


def test_an_empty_folder_is_named(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(UserError, match="has no folder in it"):
        prepare_folder(tmp_path / "photos", tmp_path / "data")


def test_a_pattern_without_a_landmark_is_named(photo_folder, tmp_path):
    with pytest.raises(UserError, match=r"'church\*'"):
        prepare_folder(photo_folder, tmp_path / "data", test="church*,church")


def test_a_missing_source_is_named(tmp_path):
    with pytest.raises(UserError, match="--source"):
        prepare("photo_folder", tmp_path / "data", {})


def test_landmarks_with_numbers_for_names_are_chosen(photo_folder, tmp_path):
    for landmark in range(6):
        folder = photo_folder / f"place{landmark}"
        folder.rename(photo_folder / str(landmark))
    options = {"source": str(photo_folder), "validation": 3, "test": (1, 2)}
    prepared = prepare("photo_folder", tmp_path / "data", options)
    assert {name[0] for name in prepared.split("test").names} == {"1", "2"}
    assert prepared.split("validation").names[0].startswith("3/")
    # The options are compared as the manifest's JSON keeps them.
    again = prepare("photo_folder", tmp_path / "data", options)
    assert again.manifest == prepared.manifest


def test_an_option_that_no_manifest_can_hold_is_refused(photo_folder, tmp_path):
    with pytest.raises(UserError, match="test={1}"):
        prepare_folder(photo_folder, tmp_path / "data", test={1})


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a\nb.jpg", r"a\\nb"), ("caf\udce9.jpg", r"caf\\udce9")],
)
def test_a_name_that_no_file_list_can_hold_is_named(
    photo_folder, tmp_path, name, shown
):
    photo = photo_folder / "place0" / "0.jpg"
    shutil.copy(photo, photo_folder / "place0" / name)
    with pytest.raises(UserError, match=shown):
        prepare_folder(photo_folder, tmp_path / "data")
    prepared = prepare_folder(photo_folder, tmp_path / "data", skip_bad=True)
    (skipped,) = prepared.manifest["skipped"]
    assert skipped["photo"].isprintable()
    assert prepared.manifest["splits"]["train"]["photos"] == 9


def test_a_folder_whose_name_is_not_text_is_named(photo_folder, tmp_path):
    (photo_folder / "place0").rename(photo_folder / "caf\udce9")
    with pytest.raises(UserError, match=r"caf\\udce9"):
        prepare_folder(photo_folder, tmp_path / "data")
    prepared = prepare_folder(photo_folder, tmp_path / "data", skip_bad=True)
    assert prepared.manifest["splits"]["train"]["landmarks"] == 2
    assert len(prepared.manifest["skipped"]) == 1


def test_other_files_are_counted_and_hidden_ones_are_not(
    photo_folder, tmp_path, caplog
):
    photo = photo_folder / "place0" / "0.jpg"
    for hidden in (".git/0.jpg", "@eaDir/0.jpg", "place1/.trash/0.jpg"):
        path = photo_folder / hidden
        path.parent.mkdir(parents=True)
        shutil.copy(photo, path)
    (photo_folder / "place1" / "._0.jpg").write_bytes(b"resource fork")
    shutil.copy(photo, photo_folder / "loose.jpg")
    (photo_folder / "place1" / "camera.dng").write_bytes(b"unread")
    shutil.copy(photo, photo_folder / "place1" / "3.JFIF")
    with caplog.at_level(logging.INFO, logger="agem_tf"):
        prepared = prepare_folder(photo_folder, tmp_path / "data")
    train = prepared.manifest["splits"]["train"]
    assert (train["photos"], train["landmarks"]) == (10, 3)
    (line,) = (
        record.message
        for record in caplog.records
        if "are skipped" in record.message
    )
    assert line.startswith("2 files")
    assert "loose.jpg" in line
    (photo_folder / "place1" / "camera.dng").unlink()
    with caplog.at_level(logging.INFO, logger="agem_tf"):
        prepare_folder(photo_folder, tmp_path / "other")
    assert f"1 file of {photo_folder} is skipped" in caplog.text


@pytest.mark.parametrize("source", ["photos", "photos/list.csv"])
def test_photos_may_be_remote(photo_folder, tmp_path, bucket, source):
    rows = [f"place{i}/{name},place{i}" for i in (3, 4, 5) for name in FILES]
    (photo_folder / "list.csv").write_text("\n".join(rows))
    here = prepare_folder(tmp_path / source, tmp_path / "here")
    shutil.copytree(photo_folder, bucket / "photos")
    there = prepare_folder(f"gs://{source}", tmp_path / "there")
    assert there.manifest["files"] == here.manifest["files"]


def test_linked_folders_are_followed_but_not_in_circles(photo_folder, tmp_path):
    shutil.move(photo_folder / "place0", tmp_path / "elsewhere")
    (photo_folder / "place0").symlink_to(tmp_path / "elsewhere")
    (photo_folder / "place1" / "up").symlink_to(photo_folder)
    prepared = prepare_folder(photo_folder, tmp_path / "data")
    assert len(prepared.split("train")) == 9


def test_an_unknown_option_is_named(photo_folder, tmp_path):
    with pytest.raises(UserError, match="quality"):
        prepare_folder(photo_folder, tmp_path / "data", quality=3)


def test_a_csv_gives_boxes(photo_folder, tmp_path):
    lines = ["path,landmark,x1,y1,x2,y2"]
    for landmark in range(3, 6):
        for name in ("0.jpg", "1.png"):
            path = f"place{landmark}/{name}"
            lines.append(f"{path},place{landmark},4,5,40,30")
    source = photo_folder / "list.csv"
    source.write_text("\n".join(lines))
    prepared = prepare_folder(source, tmp_path / "data", validation=0.0)
    truth = prepared.ground_truth("test")
    assert truth.has_boxes
    assert truth.queries[0].box == (4, 5, 40, 30)
    assert len(prepared.split("train")) == 2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("place0/0.jpg", "list.csv:1"),
        ("place0/0.jpg,place0,1,2,x,4", "list.csv:1"),
        ("place0/0.jpg,place0,1,2,900,4", "not inside"),
        ("missing.jpg,place0", "missing.jpg"),
        ("place0/0.jpg, ", "list.csv:1"),
        ('place0/0.jpg,"a\nb"', "list.csv:2"),
        ("place0/0.jpg,caf\udce9", "list.csv is not a CSV in UTF-8"),
        ("place0/0.jpg,place0,nan,1,2,2", "not inside"),
    ],
)
def test_a_bad_csv_row_is_named(photo_folder, tmp_path, row, message):
    source = photo_folder / "list.csv"
    lines = f"{row}\nplace0/1.png,place0\n"
    source.write_text(lines, errors="surrogateescape")
    with pytest.raises(UserError, match=message):
        prepare(
            "photo_folder",
            tmp_path / "data",
            {"source": str(source), "test": 0.0, "validation": 0.0},
        )


def test_spaces_around_the_cells_of_a_csv_mean_nothing(photo_folder, tmp_path):
    source = photo_folder / "list.csv"
    source.write_text(
        "path, landmark\nplace0/0.jpg, a\n\nplace0/1.png ,a , 1, 2, 30, 20\n"
    )
    prepared = prepare_folder(source, tmp_path / "data", validation=0, test=0)
    split = prepared.split("train")
    assert len(set(split.labels)) == 1
    assert split.boxes[split.names.index("place0/1.png")].tolist() == [
        1,
        2,
        30,
        20,
    ]


def test_a_rotated_photo_is_stored_upright(photo_folder, tmp_path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    path = photo_folder / "place0" / "0.jpg"
    PIL.Image.new("RGB", (40, 24), "red").save(path, exif=exif)
    prepared = prepare_folder(photo_folder, tmp_path / "data")
    builder = tfds.builder_from_directory(prepared.directory / "records")
    shapes = {
        example["name"].decode(): example["image"].shape
        for example in tfds.as_numpy(builder.as_dataset(split="train"))
    }
    assert shapes["place0/0.jpg"] == (40, 24, 3)
