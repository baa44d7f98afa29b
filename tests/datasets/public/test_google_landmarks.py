"""Google Landmarks from CSV files and folders, and from TFRecords."""

import pytest
import tensorflow as tf

from agem_tf.errors import UserError

TRAIN = {
    "00a0": 7,
    "00a1": 7,
    "0b20": 12,
    "1c30": 12,
    "1c31": 9,
    "1c32": 9,
    "1c33": 9,
}
INDEX = ["f000", "f010", "f111"]


def path_of(root, folder, name):
    return root / folder / name[0] / name[1] / name[2] / f"{name}.jpg"


def write_rows(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in rows))


@pytest.fixture
def source(tmp_path, write_photo):
    """Google Landmarks v2 as its publisher's script leaves it."""
    root = tmp_path / "source"
    photos = {"train": TRAIN, "index": INDEX, "test": ["e000", "e001", "e999"]}
    for folder, names in photos.items():
        for seed, name in enumerate(names):
            write_photo(path_of(root, folder, name), seed)
    write_rows(
        root / "train" / "train.csv",
        "id,url,landmark_id",
        *(f'{name},"http://a,b",{label}' for name, label in TRAIN.items()),
    )
    write_rows(
        root / "train" / "train_clean.csv",
        "landmark_id,images",
        "7,00a0 00a1",
        "9,1c31 1c33",
    )
    write_rows(root / "index" / "index.csv", "id", *INDEX)
    write_rows(
        root / "index" / "index_image_to_landmark.csv",
        "id,landmark_id",
        "f000,9",
        "f111,40",
    )
    write_rows(
        root / "test" / "retrieval_solution_v2.1.csv",
        "id,images,Usage",
        "e000,f111 f000,Public",
        "e999,None,Ignored",
    )
    write_rows(
        root / "test" / "recognition_solution_v2.1.csv",
        "id,landmarks,Usage",
        "e000,9 40,Private",
        "e001,,Public",
        "e999,,Ignored",
    )
    return root


def test_training_photos_have_their_landmarks(source, prepare_public):
    prepared = prepare_public("google_landmarks_v2")
    train = prepared.split("train")
    assert dict(zip(train.names, train.labels.tolist(), strict=True)) == TRAIN
    # Mixed, for readers that stream the records.
    assert train.names != sorted(train.names)
    with pytest.raises(UserError, match="train .* has no queries"):
        prepared.ground_truth("train")


def test_the_retrieval_test_is_index_and_queries_that_count(
    source, prepare_public
):
    prepared = prepare_public("google_landmarks_v2")
    test, truth = prepared.split("test"), prepared.ground_truth("test")
    assert test.names == [*INDEX, "e000"]
    assert test.labels.tolist() == [9, -1, 40, -2]
    assert truth.database_names == INDEX
    assert truth.query_names == ["e000"]
    assert truth.queries[0].easy.tolist() == [2, 0]
    assert prepared.manifest["protocol"] == "gldv2"


def test_the_recognition_test_has_photos_without_landmark(
    source, prepare_public
):
    recognition = prepare_public("google_landmarks_v2").split("recognition")
    assert recognition.names == ["e000", "e001"]
    assert recognition.labels.tolist() == [9, -1]


def test_the_clean_part_is_what_its_list_says(source, prepare_public):
    prepared = prepare_public("google_landmarks_v2_clean")
    train = prepared.split("train")
    labels = dict(zip(train.names, train.labels.tolist(), strict=True))
    assert labels == {"00a0": 7, "00a1": 7, "1c31": 9, "1c33": 9}


def test_files_that_a_spreadsheet_has_saved_are_read(source, prepare_public):
    before = prepare_public("google_landmarks_v2_clean").split("train")
    path = source / "train" / "train_clean.csv"
    text = path.read_text().replace("\n", "\r\n")
    path.write_bytes(("\ufeff" + text).encode())
    after = prepare_public("google_landmarks_v2_clean", "again").split("train")
    assert after.names == before.names
    assert after.labels.tolist() == before.labels.tolist()


def test_a_landmark_that_is_not_a_number_is_named(source, prepare_public):
    path = source / "test" / "recognition_solution_v2.1.csv"
    path.write_text("id,landmarks,Usage\ne000,9 x,Private\n")
    with pytest.raises(UserError, match="recognition.*landmark 'x' instead"):
        prepare_public("google_landmarks_v2")


def test_overlaps_with_the_tests_are_reported(source, prepare_public):
    lines = "\n".join(prepare_public("google_landmarks_v2_clean").describe())
    assert "38 of the 70 queries of ROxford5k and 36" in lines
    assert "1 of the 2 landmarks of the recognition test" in lines


def test_landmarks_can_be_held_out(source, prepare_public):
    prepared = prepare_public("google_landmarks_v2", validation="9")
    validation = prepared.split("validation")
    assert sorted(validation.names) == ["1c31", "1c32", "1c33"]
    assert len(prepared.split("train")) == 4
    truth = prepared.ground_truth("validation")
    assert len(truth.queries) == 3
    assert truth.queries[0].easy.tolist() == [1, 2]


def test_missing_index_photos_leave_the_ground_truth(source, prepare_public):
    path_of(source, "index", "f111").unlink()
    with pytest.raises(UserError, match=r"index/f/1/1/f111\.jpg"):
        prepare_public("google_landmarks_v2")
    prepared = prepare_public("google_landmarks_v2", allow_missing=True)
    truth = prepared.ground_truth("test")
    assert truth.queries[0].easy.tolist() == [0]
    lost = prepared.manifest["splits"]["test"]["lost"]
    assert lost == {"positives": 1}


def test_tests_that_were_not_downloaded_are_no_splits(source, prepare_public):
    (source / "test" / "retrieval_solution_v2.1.csv").unlink()
    prepared = prepare_public("google_landmarks_v2")
    assert prepared.splits == ["train", "recognition"]


def test_the_first_version_may_be_a_flat_folder(
    tmp_path, write_photo, prepare_public
):
    root = tmp_path / "source"
    rows = [("aa11", "3"), ("bb22", "3"), ("cc33", "None")]
    for seed, (name, _) in enumerate(rows):
        write_photo(root / f"{name}.jpg", seed)
    write_rows(
        root / "train.csv",
        "id,url,landmark_id",
        *(f"{name},http://x,{label}" for name, label in rows),
    )
    prepared = prepare_public("google_landmarks_v1")
    train = prepared.split("train")
    assert sorted(train.names) == ["aa11", "bb22"]
    assert train.labels.tolist() == [3, 3]
    assert prepared.splits == ["train"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["id,url"], "must have the columns landmark_id, id"),
        (["id,url,landmark_id", "00a0,http"], "a row of 2 instead of 3"),
        (["id,url,landmark_id", "00a0,http,x7"], "landmark 'x7' instead"),
        ([], "an empty file"),
    ],
)
def test_damaged_csv_files_are_named(source, prepare_public, rows, message):
    write_rows(source / "train" / "train.csv", *rows)
    with pytest.raises(UserError, match=rf"train\.csv .*{message}"):
        prepare_public("google_landmarks_v2")


def test_a_folder_without_labels_is_named(tmp_path, prepare_public):
    (tmp_path / "source").mkdir()
    with pytest.raises(UserError, match=r"no train/train_clean\.csv"):
        prepare_public("google_landmarks_v2_clean")


FILES = 2


def feature_of(value):
    values = value if isinstance(value, list) else [value]
    values = [x.encode() if isinstance(x, str) else x for x in values]
    if isinstance(values[0], int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def record(name, encoded, label=None):
    features = {
        "image/encoded": feature_of(encoded),
        "image/id": feature_of(name),
        "image/format": feature_of(b"JPEG"),
    }
    if label is not None:
        features["image/class/label"] = feature_of(label)
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString()


@pytest.fixture
def records(tmp_path, write_photo):
    """Two files of two training photos each, and one of the test."""
    write_photo(tmp_path / "photo.jpg")
    encoded = (tmp_path / "photo.jpg").read_bytes()
    root = tmp_path / "source"
    root.mkdir()
    for file in range(FILES):
        path = root / f"train-{file:05d}-of-{FILES:05d}"
        with tf.io.TFRecordWriter(str(path)) as writer:
            writer.write(record(f"a{file}", encoded, 5))
            writer.write(record(f"b{file}", encoded, 6 + file))
    path = root / "test-00000-of-00001"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(record("c0", encoded))
    return root


def test_records_keep_their_photos_and_labels(records, prepare_public):
    prepared = prepare_public("google_landmarks_records")
    train = prepared.split("train")
    assert train.names == ["a0", "b0", "a1", "b1"]
    assert train.labels.tolist() == [5, 6, 5, 7]
    assert len(prepared.manifest["record_files"]) == FILES + 1
    assert prepared.split("test").labels.tolist() == [-1]
    assert "queries of ROxford5k" in "\n".join(prepared.describe())
    example = tf.train.Example.FromString(train.read(2))
    encoded = example.features.feature["image"].bytes_list.value[0]
    assert encoded == (records.parent / "photo.jpg").read_bytes()


def test_missing_files_are_listed(records, prepare_public):
    (records / "train-00001-of-00002").unlink()
    with pytest.raises(UserError, match="for example train-00001-of-00002"):
        prepare_public("google_landmarks_records")
    prepared = prepare_public("google_landmarks_records", allow_missing=True)
    assert prepared.split("train").names == ["a0", "b0"]


def test_a_bad_photo_is_named_or_skipped(records, prepare_public):
    path = records / "test-00000-of-00001"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(record("bad", b"not a photo"))
        writer.write(record("c1", (records.parent / "photo.jpg").read_bytes()))
    with pytest.raises(UserError, match="bad is not a readable photo"):
        prepare_public("google_landmarks_records")
    prepared = prepare_public("google_landmarks_records", skip_bad=True)
    assert prepared.split("test").names == ["c1"]
    assert prepared.manifest["skipped"][0]["photo"] == "bad"


@pytest.mark.parametrize("name", ["a\nb", b"a\xff"])
def test_a_name_that_is_no_line_is_named_or_skipped(
    name, records, prepare_public
):
    """Names are lines of one text."""
    photo = (records.parent / "photo.jpg").read_bytes()
    with tf.io.TFRecordWriter(str(records / "test-00000-of-00001")) as writer:
        writer.write(record(name, photo))
        writer.write(record("c1", photo))
    with pytest.raises(UserError, match="line break or is not UTF-8"):
        prepare_public("google_landmarks_records")
    prepared = prepare_public("google_landmarks_records", skip_bad=True)
    assert prepared.split("test").names == ["c1"]


def test_damaged_and_other_records_are_named(records, prepare_public):
    path = records / "train-00001-of-00002"
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="train-00001-of-00002 is corrupt"):
        prepare_public("google_landmarks_records")
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(tf.train.Example().SerializeToString())
    with pytest.raises(UserError, match="a record without image/id"):
        prepare_public("google_landmarks_records")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\x0a\xff\xff\xff\x7fx", "a record of another kind"),
        (record(5, b"x", 5), "a record without image/id as bytes"),
        (record("x", 7, 5), "a record without image/encoded as bytes"),
        (record("x", b"x", "y"), "a record without image/class/label as int"),
        (record("x", b"x", [1, 2]), "has 2 values of image/class/label"),
        (record("x", b"x", -1), "has the label -1 instead of"),
        (record("x", b"x", 2**62), "has the label 4611686018427387904"),
    ],
    # Bytes of a map have no fixed order, which test processes must agree on.
    ids=[
        *("garbage", "text of id", "text of photo", "text of label"),
        *("two labels", "negative label", "large label"),
    ],
)
def test_a_hostile_record_is_named_or_skipped(
    records, prepare_public, payload, reason
):
    path = records / "train-00000-of-00002"
    photo = (records.parent / "photo.jpg").read_bytes()
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(record("a", photo, 5))
        writer.write(payload)
    with pytest.raises(UserError, match=f"Entry 1 of .*{path.name} .*{reason}"):
        prepare_public("google_landmarks_records")
    prepared = prepare_public("google_landmarks_records", skip_bad=True)
    (skipped,) = prepared.manifest["skipped"]
    assert reason in skipped["reason"]


@pytest.mark.parametrize("number", ["9" * 30, "9" * 5000])
def test_a_landmark_of_too_many_digits_is_named(source, prepare_public, number):
    write_rows(
        source / "train" / "train_clean.csv",
        "landmark_id,images",
        f"{number},00a0 00a1",
    )
    with pytest.raises(UserError, match="has landmark '99.* of a number"):
        prepare_public("google_landmarks_v2_clean")


def test_a_folder_without_records_is_named(tmp_path, prepare_public):
    (tmp_path / "source").mkdir()
    with pytest.raises(UserError, match="no file such as train-00000"):
        prepare_public("google_landmarks_records")
