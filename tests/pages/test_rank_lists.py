"""Rank lists, and the photos on them."""

import numpy as np
import pytest
from PIL import Image

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.evaluation.evaluating import evaluate_descriptors
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.pages.photo_sources import photos_in_folder
from agem_tf.pages.rank_lists import judge, rank_lists
from agem_tf.pages.report import THUMBNAIL_SIDE


@pytest.fixture
def evaluation():
    """q finds a, b, c, d, e in this order; r finds them in the other."""
    rows = np.array([[5.0, 0], [4, 1], [3, 2], [2, 3], [1, 4]])
    truth = GroundTruth(
        list("abcde"),
        ["q", "r", "s"],
        [
            QueryTruth([0], [2], [1], (1, 0, 3, 2)),
            QueryTruth([0], [], []),
            QueryTruth([], [], []),
        ],
    )
    return evaluate_descriptors(
        DescriptorSet(list("abcde"), rows),
        truth,
        DescriptorSet(["q", "r", "s"], [[1.0, 0], [0, 1], [1, 1]]),
        protocol="revisited",
    )


def test_photos_are_judged():
    truth = QueryTruth([3], [1], [2])
    assert judge([0, 1, 2, 3], truth) == [
        "negative",
        "positive",
        "junk",
        "positive",
    ]


def test_lists_go_from_the_best_query_to_the_worst(evaluation):
    np.testing.assert_allclose(
        evaluation.scores.query_scores(), [1, (0 + 1 / 5) / 2, np.nan]
    )
    best, worst = rank_lists(evaluation, top=3)
    assert (best.title, worst.title) == ("q: 100.0 %", "r: 10.0 %")
    tiles = [(t.name, t.verdict, t.caption) for t in best.tiles]
    assert tiles == [
        ("q", "query", ""),
        ("a", "positive", "1: 5.000"),
        ("b", "junk", "2: 4.000"),
        ("c", "positive", "3: 3.000"),
    ]
    assert not any(tile.photo for tile in best.tiles)
    assert [r.title for r in rank_lists(evaluation, count=1)] == [best.title]


def test_photos_are_shown_small_and_queries_cut_to_their_boxes(
    evaluation, tmp_path
):
    (tmp_path / "jpg").mkdir()
    wide = Image.new("RGB", (4, 2), "red")
    wide.paste("blue", (1, 0, 3, 2))
    wide.resize((400, 200), Image.Resampling.NEAREST).save(tmp_path / "a.png")
    wide.save(tmp_path / "jpg" / "q.jpg", quality=100, subsampling=0)
    best = rank_lists(evaluation, photos_in_folder(tmp_path), count=1)[0]
    query, first, second = best.tiles[:3]
    assert query.photo.width == query.photo.height
    red, _, blue = query.photo.getpixel((0, 0))
    assert blue > 200 > 60 > red
    assert max(first.photo.size) == THUMBNAIL_SIDE
    assert second.photo is None


def test_a_query_does_not_find_itself():
    truth = GroundTruth.from_labels(list("abc"), [1, 1, 2])
    evaluation = evaluate_descriptors(
        DescriptorSet(list("abc"), np.eye(3)), truth
    )
    names = [tile.name for tile in rank_lists(evaluation)[0].tiles]
    assert names == ["a", "b", "c"]


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/hosts", "jpg", "no", "nul\0", "text.jpg"]
)
def test_only_photos_in_the_folder_are_opened(tmp_path, name):
    folder = tmp_path / "photos"
    (folder / "jpg").mkdir(parents=True)
    Image.new("RGB", (4, 2)).save(tmp_path / "secret.jpg")
    (folder / "text.jpg").write_text("no photo")
    assert photos_in_folder(folder)(name) is None


@pytest.mark.parametrize(("upright", "size"), [(True, (2, 4)), (False, (4, 2))])
def test_photos_are_upright_unless_boxes_are_not(tmp_path, upright, size):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (4, 2)).save(tmp_path / "turned.jpg", exif=exif)
    assert photos_in_folder(tmp_path, upright)("turned").size == size
