"""Oxford, Paris, INSTRE, Holidays, UKBench and distractors, in small copies."""

import os
import shutil

import numpy as np
import PIL.Image
import pytest
import scipy.io

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.errors import UserError
from agem_tf.evaluation.evaluating import evaluate_descriptors
from agem_tf.pages.photo_sources import load_photo

DATABASE = ["hall_000001", "hall_000002", "tower_000001", "street_000009"]
QUERIES = ["hall_000007", "tower_000003"]
ANSWERS = [
    {"bbx": [2.5, 3, 30, 20.5], "easy": [0], "hard": [1], "junk": [3]},
    {"bbx": [0, 0, 40, 36], "easy": [], "hard": [2], "junk": []},
]
CONTENT = {"imlist": DATABASE, "qimlist": QUERIES, "gnd": ANSWERS}

pytestmark = pytest.mark.filterwarnings("ignore:.*not the published file")


@pytest.fixture
def source(tmp_path, write_photo, write_pickle):
    """Revisited Oxford of four photos and two queries."""
    root = tmp_path / "source"
    for seed, name in enumerate([*DATABASE, *QUERIES]):
        write_photo(root / "jpg" / f"{name}.jpg", seed)
    write_pickle(root / "gnd_roxford5k.pkl", CONTENT)
    return root


def save_matlab(path, content, **lists):
    """Writes what MATLAB does: doubles in rows, and structures of cells."""
    answers = content["gnd"]
    structures = np.empty((1, len(answers)), [(k, object) for k in answers[0]])
    for place, answer in enumerate(answers):
        for key, values in answer.items():
            shift = key != "bbx"
            structures[0, place][key] = np.array([values], float) + shift
    for key in ("imlist", "qimlist"):
        cells = np.empty((1, len(content[key])), object)
        cells[0, :] = content[key]
        lists[key] = cells
    scipy.io.savemat(path, {"gnd": structures, **lists})


def test_database_then_queries_with_their_boxes(source, prepare_public):
    prepared = prepare_public("roxford5k")
    split = prepared.split("test")
    assert split.names == DATABASE + QUERIES
    assert split.boxes[4].tolist() == [2.5, 3, 30, 20.5]
    assert not split.boxes[:4].any()
    assert prepared.ground_truth("test").to_dict() == CONTENT
    assert prepared.database_names("test") == DATABASE
    assert prepared.manifest["protocol"] == "revisited"
    facts = prepared.manifest["splits"]["test"]
    assert facts == {"photos": 6, "landmarks": 0, "queries": 2, "lost": {}}


def test_photos_of_unknown_landmarks_pass_for_none_of_the_others(
    source, prepare_public
):
    labels = prepare_public("roxford5k").split("test").labels
    assert len(set(labels)) == 6
    assert (labels < 0).all()


def test_database_and_queries_are_extracted_and_scored_apart(
    source, prepare_public
):
    prepared = prepare_public("roxford5k")
    truth = prepared.ground_truth("test")
    # The first query finds its hard photo before its easy one.
    database = np.array([[0.8, 0.6], [1, 0], [0, 1], [0.6, 0.8]])
    evaluation = evaluate_descriptors(
        DescriptorSet(prepared.database_names("test"), database),
        truth,
        DescriptorSet(truth.query_names, np.array([[1, 0], [0, 1]])),
    )
    scores = evaluation.scores
    assert scores.medium.mean_average_precision == pytest.approx(1)
    assert scores.easy.mean_average_precision == pytest.approx(1)
    assert np.asarray(evaluation.ranks)[0, 0] == 1


def test_a_changed_file_is_noted_beside_the_scores(source, prepare_public):
    with pytest.warns(UserWarning, match="not the published file"):
        prepared = prepare_public("roxford5k")
    lines = "\n".join(prepared.describe())
    assert "gnd_roxford5k.pkl is not the published file" in lines
    assert "lists 6 photos, not the 5,063 of the publication" in lines


def test_the_matlab_twin_gives_the_same(source, prepare_public):
    by_pickle = prepare_public("roxford5k")
    (source / "gnd_roxford5k.pkl").unlink()
    save_matlab(source / "gnd_roxford5k.mat", CONTENT)
    by_matlab = prepare_public("roxford5k", "matlab")
    truths = [p.ground_truth("test") for p in (by_pickle, by_matlab)]
    assert truths[0].to_dict() == truths[1].to_dict()
    assert by_pickle.split("test").names == by_matlab.split("test").names


def test_the_older_oxford_has_its_queries_in_the_database(
    source, prepare_public, write_pickle
):
    answers = [
        {"bbx": [1, 2, 30, 20], "ok": [2, 0], "junk": [1]},
        {"bbx": [0, 0, 8, 9], "ok": [3], "junk": []},
    ]
    content = {"imlist": DATABASE, "qimlist": DATABASE[2:], "gnd": answers}
    write_pickle(source / "gnd_oxford5k.pkl", content)
    prepared = prepare_public("oxford5k")
    split, truth = prepared.split("test"), prepared.ground_truth("test")
    assert split.names == DATABASE
    assert split.boxes[2].tolist() == [1, 2, 30, 20]
    assert truth.queries[0].easy.tolist() == [2, 0]
    assert prepared.manifest["protocol"] == "oxford"


def test_instre_names_files_in_folders(tmp_path, write_photo, prepare_public):
    names = ["INSTRE-S1/01a_book/001.jpg", "INSTRE-M/01/002.jpg"]
    query = "INSTRE-S1/01a_book/009.jpg"
    for seed, name in enumerate([*names, query]):
        write_photo(tmp_path / "source" / name, seed)
    answer = {"ok": [1, 0], "bbx": [3, 4, 20, 30]}
    save_matlab(
        tmp_path / "source" / "gnd_instre.mat",
        {"imlist": names, "qimlist": [query], "gnd": [answer]},
    )
    prepared = prepare_public("instre")
    truth = prepared.ground_truth("test")
    assert truth.database_names == names
    assert truth.query_names == [query]
    assert truth.queries[0].easy.tolist() == [1, 0]
    assert truth.queries[0].box == (3, 4, 20, 30)
    assert prepared.manifest["protocol"] == "instre"


def test_missing_photos_are_listed(source, prepare_public, tmp_path):
    shutil.move(source / "jpg", tmp_path / "jpg")
    (source / "jpg").mkdir()
    kept = f"{DATABASE[0]}.jpg"
    shutil.copy(tmp_path / "jpg" / kept, source / "jpg" / kept)
    with pytest.raises(UserError, match=r"5 photos .*jpg/hall_000002\.jpg"):
        prepare_public("roxford5k")
    listed = (tmp_path / "data.missing.txt").read_text().splitlines()
    assert len(listed) == 5
    assert "jpg/street_000009.jpg" in listed
    assert not (tmp_path / "data").exists()


def test_missing_photos_leave_the_ground_truth_when_allowed(
    source, prepare_public
):
    for name in (DATABASE[0], QUERIES[1]):
        (source / "jpg" / f"{name}.jpg").unlink()
    prepared = prepare_public("roxford5k", allow_missing=True)
    truth = prepared.ground_truth("test")
    assert truth.database_names == DATABASE[1:]
    assert truth.query_names == QUERIES[:1]
    assert truth.queries[0].easy.tolist() == []
    assert truth.queries[0].hard.tolist() == [0]
    assert truth.queries[0].junk.tolist() == [2]
    lost = prepared.manifest["splits"]["test"]["lost"]
    assert lost == {"queries": 1, "positives": 1}
    lines = "\n".join(prepared.describe())
    assert "1 queries; 1 queries, 1 positives are missing" in lines
    assert "2 photos are missing" in lines
    names = (prepared.directory / "missing.txt").read_text().split()
    assert names == ["jpg/hall_000001.jpg", "jpg/tower_000003.jpg"]
    prepared.verify()


def test_an_unreadable_photo_is_named_or_skipped(source, prepare_public):
    (source / "jpg" / f"{DATABASE[2]}.jpg").write_bytes(b"not a photo")
    with pytest.raises(UserError, match=r"tower_000001\.jpg.*--skip_bad"):
        prepare_public("roxford5k")
    prepared = prepare_public("roxford5k", skip_bad=True)
    (skipped,) = prepared.manifest["skipped"]
    assert skipped["photo"] == DATABASE[2]
    assert DATABASE[2] not in prepared.split("test").names
    assert prepared.ground_truth("test").queries[1].hard.tolist() == []


def test_pixels_stay_as_the_benchmark_annotated_them(
    source, prepare_public, write_photo
):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    path = source / "jpg" / f"{QUERIES[0]}.jpg"
    write_photo(path, 4, exif=exif)
    prepared = prepare_public("roxford5k")
    photo = load_photo(prepared.split("test"), 4)
    assert photo.size == (40, 36)


def test_a_source_may_be_remote(source, prepare_public, bucket):
    here = prepare_public("roxford5k")
    shutil.copytree(source, bucket / "roxford5k")
    there = prepare_public("roxford5k", "remote", source="gs://roxford5k/")
    assert there.manifest["files"] == here.manifest["files"]


def test_an_unknown_file_system_is_named(prepare_public):
    with pytest.raises(UserError, match="ram://x is on a file system that"):
        prepare_public("roxford5k", source="ram://x")


class _Attack:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (self.target,)


def test_a_hostile_pickle_does_not_run(
    source, prepare_public, write_pickle, tmp_path
):
    trace = tmp_path / "trace"
    attack = CONTENT | {"imlist": [_Attack(str(trace))]}
    write_pickle(source / "gnd_roxford5k.pkl", attack)
    with pytest.raises(UserError, match=r"asks for posix\.mkdir"):
        prepare_public("roxford5k")
    assert not trace.exists()


@pytest.mark.parametrize("name", ["../secret", "a/../../secret", "/secret"])
def test_names_outside_the_source_are_refused(
    source, prepare_public, write_pickle, name
):
    database = [name, *DATABASE[1:]]
    write_pickle(source / "gnd_roxford5k.pkl", CONTENT | {"imlist": database})
    with pytest.raises(UserError, match="would lie outside"):
        prepare_public("roxford5k", allow_missing=True)


def test_a_query_photo_has_one_box(source, prepare_public, write_pickle):
    content = CONTENT | {"qimlist": [QUERIES[0]] * 2}
    write_pickle(source / "gnd_roxford5k.pkl", content)
    with pytest.raises(UserError, match="two boxes of photo 'hall_000007'"):
        prepare_public("roxford5k")


@pytest.mark.parametrize(
    ("source", "message"),
    [("", "needs --source"), ("nowhere", "No folder at nowhere")],
)
def test_a_wrong_source_is_named(prepare_public, source, message):
    with pytest.raises(UserError, match=message):
        prepare_public("rparis6k", source=source)


def test_a_folder_without_the_file_is_named(tmp_path, prepare_public):
    (tmp_path / "source").mkdir()
    with pytest.raises(UserError, match=r"gnd_rparis6k\.pkl or gnd_rparis6k"):
        prepare_public("rparis6k")


HOLIDAYS = [
    "100000.jpg",
    "100001.jpg",
    "100100.jpg",
    "100101.jpg",
    "100102.jpg",
]


@pytest.fixture
def holidays(tmp_path, write_photo):
    for seed, name in enumerate(HOLIDAYS):
        write_photo(tmp_path / "source" / "jpg" / name, seed)
    return tmp_path / "source"


def write_list(source, names):
    (source / "holidays_images.dat").write_text("\n".join(names) + "\n")


def test_the_first_photo_of_a_scene_is_its_query(holidays, prepare_public):
    write_list(holidays, HOLIDAYS)
    prepared = prepare_public("inria_holidays")
    truth = prepared.ground_truth("test")
    assert truth.database_names == HOLIDAYS
    assert truth.query_names == ["100000.jpg", "100100.jpg"]
    assert truth.queries[1].easy.tolist() == [3, 4]
    assert truth.queries[1].junk.tolist() == [2]
    assert prepared.split("test").labels.tolist() == [1000] * 2 + [1001] * 3
    assert prepared.manifest["protocol"] == "holidays"


def test_the_list_names_what_is_missing(holidays, prepare_public):
    write_list(holidays, [*HOLIDAYS, "100103.jpg", "100200.jpg"])
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


def test_the_million_is_what_its_list_says(
    tmp_path, write_photo, prepare_public
):
    source, names = tmp_path / "source", ["0a/b.jpg", "1c/d.png", "1c/a.jpg"]
    for seed, name in enumerate(names):
        write_photo(source / "jpg" / name, seed)
    write_photo(source / "jpg" / "unlisted.jpg")
    (source / "revisitop1m.txt").write_text("\n".join(names) + "\n")
    prepared = prepare_public("revisitop1m")
    assert prepared.split("distractors").names == names
    assert prepared.database_names("distractors") == names
    with pytest.raises(UserError, match="has no queries"):
        prepared.ground_truth("distractors")
    (source / "jpg" / names[1]).unlink()
    with pytest.raises(UserError, match="1 photos are missing.*jpg/1c/d.png"):
        prepare_public("revisitop1m", "again")


def test_the_hundred_thousand_are_all_photos_below_the_source(
    tmp_path, write_photo, prepare_public
):
    for name in ("tag b/2.jpg", "tag a/1.jpg", "3.JPG"):
        write_photo(tmp_path / "source" / name)
    (tmp_path / "source" / "README.txt").write_text("about")
    prepared = prepare_public("oxford100k")
    names = ["3.JPG", "tag a/1.jpg", "tag b/2.jpg"]
    assert prepared.split("distractors").names == names
    assert "not the 100,071" in "\n".join(prepared.describe())
