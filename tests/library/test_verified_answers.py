"""Answers are ordered by the inliers of photos in a folder."""

import json

import cv2
import numpy as np
import PIL.Image
import pytest

from agem_tf import search
from agem_tf.config import ImageConfig
from agem_tf.errors import UserError
from agem_tf.extraction.imported_features import import_features
from agem_tf.extraction.local_extractor import (
    DelfExtractor,
    Selection,
)
from agem_tf.extraction.local_feature_writing import write_folder_features
from agem_tf.extraction.single_scale import single_scale_extractor
from agem_tf.library.answers import Answer
from agem_tf.library.verified_answers import verified_answers
from agem_tf.models import DELF
from agem_tf.retrieval.indexes import Match
from agem_tf.retrieval.reranking import SpatialVerification
from agem_tf.saved_models.local_model import export_local_model

TURN = np.array([[0.95, 0.1, 5], [-0.1, 0.95, 30], [0, 0, 1.0]])


@pytest.fixture
def folder(tmp_path, drawn_pixels):
    """Photos 0 to 3; the query is photo 2, turned."""
    (tmp_path / "photos").mkdir()
    for number in range(4):
        path = tmp_path / "photos" / f"{number}.png"
        PIL.Image.fromarray(drawn_pixels(number)).save(path)
    query = cv2.warpPerspective(drawn_pixels(2), TURN, (260, 200))
    PIL.Image.fromarray(query).save(tmp_path / "query.png")
    return tmp_path


@pytest.fixture
def stored(folder):
    write_folder_features(
        single_scale_extractor("rootsift", 300, 512),
        folder / "features",
        str(folder / "photos"),
    )
    return str(folder / "features")


def answer(folder, box=None):
    matches = [Match(f"{number}.png", 0.9 - number / 10) for number in range(4)]
    return Answer(str(folder / "query.png"), matches, box)


@pytest.mark.parametrize("box", [None, (40, 40, 250, 190)])
def test_the_photo_of_most_inliers_comes_first(folder, stored, box):
    (found,) = verified_answers(
        [answer(folder, box)], SpatialVerification(4), 3, None, stored
    )
    names = [match.name for match in found.matches]
    assert names == ["2.png", "0.png", "1.png"]
    assert found.inliers[0] > 30 and max(found.inliers[1:]) < 8
    first = found.lines().splitlines()[1]
    assert first.split() == [
        "1",
        "0.7000,",
        str(found.inliers[0]),
        "inliers",
        "2.png",
    ]
    assert found.caption(1) == f"1: 0.700, {found.inliers[0]} inliers"


def test_a_query_may_be_the_name_of_an_indexed_photo(folder, stored):
    named = Answer("2.png", answer(folder).matches)
    (found,) = verified_answers(
        [named],
        SpatialVerification(4),
        1,
        str(folder / "photos"),
        stored,
    )
    assert [match.name for match in found.matches] == ["2.png"]


def test_photos_beyond_the_candidates_follow(folder, stored):
    (found,) = verified_answers(
        [answer(folder)], SpatialVerification(2), 4, None, stored
    )
    assert [match.name for match in found.matches] == [
        f"{number}.png" for number in range(4)
    ]
    assert len(found.inliers) == 2 and found.caption(4) == "4: 0.600"


def test_features_of_unknown_making_are_one_sentence(stored, reseal, folder):
    path = folder / "features" / "manifest.json"
    manifest = json.loads(path.read_bytes())
    del manifest["provenance"]["most"]
    path.write_text(json.dumps(manifest))
    reseal(folder / "features")
    with pytest.raises(UserError, match="does not say how .*'most'"):
        verified_answers(
            [answer(folder)], SpatialVerification(4), 3, None, stored
        )


def test_without_features_the_folder_must_be_known(folder):
    with pytest.raises(UserError, match="--folder=DIR"):
        verified_answers([answer(folder)], SpatialVerification(), 3)


def test_a_folder_that_was_moved_is_refused(folder, monkeypatch):
    # Needs no weights.
    place = "agem_tf.library.verified_answers._DEFAULT_KIND"
    monkeypatch.setattr(place, "rootsift")
    moved = str(folder / "moved")
    with pytest.raises(UserError, match="has none of the 4 photos to verify"):
        verified_answers([answer(folder)], SpatialVerification(), 3, moved)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"local_features": "d", "rerank": ("qe",)},
            "--local_features is for --rerank=verify",
        ),
        (
            {"photos": (), "descriptors": "d", "rerank": ("verify",)},
            "give photos to search by",
        ),
        ({"rerank": ("verify", "qe")}, "make it the last step"),
    ],
)
def test_options_belong_together(options, message):
    given = {"photos": ("a.jpg",), "index": "none"} | options
    with pytest.raises(UserError, match=message):
        search.main(search.SearchOptions(**given))


def test_features_of_a_trained_network_are_searched_by_its_export(folder):
    model = DELF("vgg16", feature_map="C2", pooling_options={"filters": 8})
    image = ImageConfig(size=160)
    exported = export_local_model(model, folder / "delf", image)
    directory = str(folder / "trained")
    write_folder_features(
        DelfExtractor(model, image, selection=Selection(200)),
        directory,
        str(folder / "photos"),
    )
    same = Answer(str(folder / "photos/2.png"), answer(folder).matches)
    step = SpatialVerification(4)
    (found,) = verified_answers([same], step, 4, None, directory, str(exported))
    assert found.matches[0].name == "2.png"
    assert found.inliers[0] > 100 > found.inliers[1]
    with pytest.raises(UserError, match="--local_model=DIR"):
        verified_answers([same], step, 4, None, directory)
    other = export_local_model(model, folder / "other", ImageConfig(size=64))
    with pytest.raises(UserError, match="differ in image"):
        verified_answers([same], step, 4, None, directory, str(other))


@pytest.mark.parametrize("origin", ["lift", "xfeat-0.1.4"])
def test_imported_features_have_no_extractor_of_queries(folder, origin):
    (folder / "npz").mkdir()
    np.savez(
        folder / "npz" / "2.png.npz",
        keypoints=np.ones((3, 2)),
        descriptors=np.ones((3, 64)),
        scores=np.ones(3),
        scales=np.ones(3),
        size=[120, 160],
    )
    directory = str(folder / "imported")
    import_features(folder / "npz", directory, origin)
    step = SpatialVerification(4)
    with pytest.raises(UserError, match="are of other software"):
        verified_answers([answer(folder)], step, 4, None, directory)
