"""retrieval-SfM from its pickles: photos, models and pairs."""

import os

import numpy as np
import pytest

from agem_tf.errors import UserError

CIDS = [f"{number:02d}a{number:02d}b{number:02d}ff" for number in range(7)]


def part(cids, clusters, pairs):
    queries, positives = zip(*pairs, strict=True)
    return {
        "cids": cids,
        "cluster": clusters,
        "qidxs": list(queries),
        "pidxs": list(positives),
    }


TRAIN = part(CIDS[:4], [5, 5, 5, 9], [(0, 1), (0, 2), (1, 0), (0, 1)])
VALIDATION = part(CIDS[4:], [3, 3, 3], [(2, 0)])
WHITEN = part(CIDS[:5], [0] * 5, [(0, 3), (3, 4), (2, 1)])


@pytest.fixture
def source(tmp_path, write_photo, write_pickle):
    root = tmp_path / "source"
    for seed, cid in enumerate(CIDS):
        folder = root / "ims" / cid[-2:] / cid[-4:-2] / cid[-6:-4]
        write_photo(folder / cid, seed)
    write_pickle(
        root / "retrieval-SfM-120k.pkl", {"train": TRAIN, "val": VALIDATION}
    )
    whiten = {key: WHITEN[key] for key in ("cids", "qidxs", "pidxs")}
    write_pickle(root / "retrieval-SfM-120k-whiten.pkl", whiten)
    write_pickle(root / "retrieval-SfM-30k-whiten.pkl", whiten)
    return root


def test_photos_models_and_pairs_are_those_of_the_pickle(
    source, prepare_public
):
    prepared = prepare_public("retrieval_sfm_120k")
    assert prepared.splits == ["train", "validation", "whiten"]
    train = prepared.split("train")
    assert train.names == CIDS[:4]
    assert train.labels.tolist() == [5, 5, 5, 9]
    assert train.pairs.tolist() == [[0, 1], [0, 2], [1, 0], [0, 1]]
    assert train.pairs.dtype == np.int64
    assert prepared.manifest["splits"]["train"]["pairs"] == 4


def test_a_download_of_another_size_is_noted(source, prepare_public):
    lines = list(prepare_public("retrieval_sfm_120k").describe())
    assert (
        "Split train lists 4 photos, not the 91,642 of the publication."
        in lines
    )
    assert (
        "Split validation lists 1 pairs, not the 1,691 of the publication."
        in lines
    )
    assert not any("whiten lists" in line for line in lines)


def test_pairs_among_some_photos_are_numbered_as_these(source, prepare_public):
    train = prepare_public("retrieval_sfm_120k").split("train")
    assert train.pairs_among(np.array([2, 0])).tolist() == [[1, 0]]
    assert train.pairs_among(np.array([3, 2])).tolist() == []
    assert train.pairs_among(np.arange(4)).tolist() == train.pairs.tolist()


def test_pairs_of_joined_splits_point_to_the_same_photos(
    source, prepare_public
):
    prepared = prepare_public("retrieval_sfm_120k")
    joined = prepared.split("train+validation")
    assert joined.pairs.tolist()[-1] == [6, 4]
    assert [joined.names[i] for i in joined.pairs[-1]] == [CIDS[6], CIDS[4]]


def test_ground_truth_asks_for_the_pairs(source, prepare_public):
    prepared = prepare_public("retrieval_sfm_120k")
    train = prepared.ground_truth("train")
    assert train.query_names == CIDS[:2]
    assert [q.easy.tolist() for q in train.queries] == [[1, 2], [0]]
    assert [q.junk.tolist() for q in train.queries] == [[0], [1]]
    validation = prepared.ground_truth("validation")
    (query,) = validation.queries
    assert validation.query_names == [CIDS[6]]
    assert query.easy.tolist() == [0]
    # Photo 1 is of the query's model: perhaps it shows the same, perhaps not.
    assert query.junk.tolist() == [1, 2]


def test_photos_that_pairs_connect_share_a_label(source, prepare_public):
    prepared = prepare_public("retrieval_sfm_30k")
    whiten = prepared.split("whiten")
    assert prepared.splits == ["whiten"]
    labels = whiten.labels
    assert labels[0] == labels[3] == labels[4] != labels[1] == labels[2]
    assert whiten.pairs.tolist() == [[0, 3], [3, 4], [2, 1]]
    with pytest.raises(UserError, match="whiten .* has no queries"):
        prepared.ground_truth("whiten")


def test_other_datasets_have_no_pairs(photo_folder, prepare_public):
    options = {"source": str(photo_folder), "test": 0.0, "validation": 0.0}
    prepared = prepare_public("photo_folder", **options)
    assert prepared.split("train").pairs is None


def test_pairs_of_missing_photos_are_lost_and_counted(source, prepare_public):
    cid = CIDS[1]
    (source / "ims" / cid[-2:] / cid[-4:-2] / cid[-6:-4] / cid).unlink()
    with pytest.raises(UserError, match=f"missing, for example .*{cid}"):
        prepare_public("retrieval_sfm_120k")
    prepared = prepare_public("retrieval_sfm_120k", allow_missing=True)
    train = prepared.split("train")
    assert train.names == [CIDS[0], *CIDS[2:4]]
    assert train.pairs.tolist() == [[0, 1]]
    facts = prepared.manifest["splits"]
    assert facts["train"]["lost"] == {"pairs": 3, "queries": 1, "positives": 1}
    assert facts["whiten"]["lost"] == {"pairs": 1}


def test_a_split_that_lost_all_its_pairs_has_none(source, prepare_public):
    """Not None, for which pairs of equal labels would be used."""
    cid = CIDS[4]
    (source / "ims" / cid[-2:] / cid[-4:-2] / cid[-6:-4] / cid).unlink()
    prepared = prepare_public("retrieval_sfm_120k", allow_missing=True)
    assert prepared.split("validation").pairs.shape == (0, 2)


class _Attack:
    def __reduce__(self):
        return os.system, ("true",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cids": [_Attack()]}, r"asks for posix\.system"),
        ({"cids": ["../../etc"] * 4}, "'cids' is not a list of photo names"),
        ({"cids": "abcdefgh"}, "'cids' is not a list"),
        ({"qidxs": [0, 1, 2, 4]}, "'qidxs' holds a number that is out"),
        ({"qidxs": [0, 1, 2, -1]}, "'qidxs' holds a number that is out"),
        ({"pidxs": [0, 1]}, "4 queries, but 2 positives"),
        ({"pidxs": [[0]] * 4}, "'pidxs' is not a list of integers"),
        ({"cluster": [1]}, "4 photos, but 1 clusters"),
    ],
)
def test_faulty_pickles_are_refused(
    source, prepare_public, write_pickle, change, message
):
    content = {"train": TRAIN | change, "val": VALIDATION}
    write_pickle(source / "retrieval-SfM-120k.pkl", content)
    with pytest.raises(UserError, match=rf"SfM-120k\.pkl: .*{message}"):
        prepare_public("retrieval_sfm_120k")


def test_a_pickle_without_its_parts_is_refused(
    source, prepare_public, write_pickle
):
    write_pickle(source / "retrieval-SfM-120k.pkl", {"train": TRAIN})
    with pytest.raises(UserError, match="has no 'val'"):
        prepare_public("retrieval_sfm_120k")


def test_a_pickle_too_large_is_refused(source, prepare_public, monkeypatch):
    monkeypatch.setattr("agem_tf.datasets.public.retrieval_sfm.MAX_BYTES", 50)
    with pytest.raises(UserError, match="published one fewer than 50"):
        prepare_public("retrieval_sfm_120k")


def test_a_folder_without_pickles_is_named(tmp_path, prepare_public):
    (tmp_path / "source").mkdir()
    with pytest.raises(UserError, match=r"no retrieval-SfM-30k\.pkl or"):
        prepare_public("retrieval_sfm_30k")
