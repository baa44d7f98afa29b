"""Holidays and UKBench tell by a photo's number what it shows."""

import pytest

from agem_tf.errors import UserError

NAMES = ["100000.jpg", "100001.jpg", "100100.jpg", "100101.jpg", "100102.jpg"]


@pytest.fixture
def holidays(tmp_path, write_photo):
    for seed, name in enumerate(NAMES):
        write_photo(tmp_path / "source" / "jpg" / name, seed)
    return tmp_path / "source"


def list_photos(source, names):
    (source / "holidays_images.dat").write_text("\n".join(names) + "\n")


def test_the_first_photo_of_a_scene_is_its_query(holidays, prepare_public):
    list_photos(holidays, NAMES)
    prepared = prepare_public("inria_holidays")
    truth = prepared.ground_truth("test")
    assert truth.database_names == NAMES
    assert truth.query_names == ["100000.jpg", "100100.jpg"]
    assert truth.queries[1].easy.tolist() == [3, 4]
    assert truth.queries[1].junk.tolist() == [2]
    assert prepared.split("test").labels.tolist() == [1000] * 2 + [1001] * 3
    assert prepared.manifest["protocol"] == "holidays"


def test_the_list_tells_what_is_missing(holidays, prepare_public):
    list_photos(holidays, [*NAMES, "100103.jpg", "100200.jpg"])
    with pytest.raises(UserError, match=r"2 photos .*jpg/100103\.jpg"):
        prepare_public("inria_holidays")
    prepared = prepare_public("inria_holidays", allow_missing=True)
    lost = prepared.manifest["splits"]["test"]["lost"]
    assert lost == {"queries": 1, "positives": 1}


def test_without_the_list_too_few_photos_are_refused(holidays, prepare_public):
    with pytest.raises(UserError, match="5 of the 1,491 photos"):
        prepare_public("inria_holidays")
    prepared = prepare_public("inria_holidays", allow_missing=True)
    assert "not the 1,491" in "\n".join(prepared.describe())


def test_a_file_of_another_name_is_named(holidays, prepare_public, write_photo):
    write_photo(holidays / "jpg" / "cover.jpg")
    with pytest.raises(UserError, match=r"'cover\.jpg' is not a photo"):
        prepare_public("inria_holidays", allow_missing=True)


def test_a_download_without_photos_is_named(tmp_path, prepare_public):
    (tmp_path / "source").mkdir()
    with pytest.raises(UserError, match="has no jpg"):
        prepare_public("inria_holidays")


def test_ukbench_photos_find_themselves_and_three_more(
    tmp_path, write_photo, prepare_public
):
    folder = tmp_path / "source" / "full"
    for number in (0, 1, 2, 3, 4, 5, 10198):
        write_photo(folder / f"ukbench{number:05d}.jpg", number)
    with pytest.raises(UserError, match=r"10193 photos .*ukbench00006\.jpg"):
        prepare_public("ukbench")
    prepared = prepare_public("ukbench", allow_missing=True)
    truth = prepared.ground_truth("test")
    assert truth.query_names == truth.database_names
    assert sorted(truth.queries[2].easy) == [0, 1, 2, 3]
    assert sorted(truth.queries[5].easy) == [4, 5]
    assert prepared.split("test").labels.tolist() == [0] * 4 + [1] * 2 + [2549]
    assert prepared.manifest["protocol"] == "ukbench"
