"""Google Landmarks from CSV files and folders."""

import pytest

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
    # Mixed, for whoever streams the records.
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


def test_overlaps_with_the_tests_are_reported(source, prepare_public):
    told = "\n".join(prepare_public("google_landmarks_v2_clean").describe())
    assert "38 of the 70 queries of ROxford5k and 36" in told
    assert "1 of the 2 landmarks of the recognition test" in told


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
