"""A folder is searched by all its local features, and followed."""

import json

import cv2
import numpy as np
import PIL.Image
import pytest

from agem_tf import aggregate, extract, search
from agem_tf.errors import PartialResultError, UserError

pytest.importorskip("faiss")
TURN = np.array([[0.95, 0.1, 5], [-0.1, 0.95, 30], [0, 0, 1.0]])


def extracted(root):
    extract.main(
        extract.ExtractLocalOptions(
            local="rootsift",
            photos=str(root / "photos"),
            output=str(root / "features"),
            max_features=200,
        )
    )
    return str(root / "features")


@pytest.fixture
def root(tmp_path, drawn_pixels):
    """Photos 0 to 3 and their index; the query is photo 2, turned."""
    (tmp_path / "photos").mkdir()
    for number in range(4):
        path = tmp_path / "photos" / f"{number}.png"
        PIL.Image.fromarray(drawn_pixels(number)).save(path)
    turned = cv2.warpPerspective(drawn_pixels(2), TURN, (260, 200))
    PIL.Image.fromarray(turned).save(tmp_path / "query.png")
    aggregate.main(
        aggregate.AggregateOptions(
            features=extracted(tmp_path),
            method="votes",
            factory="IVF1,Flat",
            neighbours=3,
            output=str(tmp_path / "index"),
        )
    )
    return tmp_path


def searched(root, *photos, **changes):
    if not photos and "list" not in changes:
        photos = (str(root / "query.png"),)
    return search.main(
        search.FeatureSearchOptions(
            photos=photos,
            local_index=str(root / "index"),
            **changes,
        )
    )


def names(answer):
    return [match.name for match in answer.matches]


def test_the_photo_with_the_same_features_comes_first(root, capsys):
    (answer,) = searched(root, top=2, output=str(root / "found.html"))
    assert names(answer)[0] == "2.png" and len(answer.matches) <= 2
    assert answer.matches[0].similarity > 30
    assert "2.png" in capsys.readouterr().out
    assert "2.png" in (root / "found.html").read_text()
    (part,) = searched(root, box=(60, 60, 200, 180))
    assert names(part)[0] == "2.png"
    PIL.Image.new("RGB", (90, 90)).save(root / "plain.png")
    assert not searched(root, str(root / "plain.png"))[0].matches


@pytest.mark.parametrize("source", ["folder", "local_features"])
def test_the_best_are_verified(root, source, capsys):
    place = {"folder": "photos", "local_features": "features"}[source]
    capsys.readouterr()
    (answer,) = searched(
        root,
        rerank=("verify:4",),
        format="json",
        **{source: str(root / place)},
    )
    assert names(answer)[0] == "2.png"
    assert answer.inliers[0] > 30 and max(answer.inliers[1:]) < 10
    first = json.loads(capsys.readouterr().out)["matches"][0]
    assert first["inliers"] == answer.inliers[0]


def test_a_folder_without_the_photos_is_refused(root):
    with pytest.raises(UserError, match="has none of the 4 photos to verify"):
        searched(root, rerank=("verify:4",), folder=str(root))
    with pytest.raises(UserError, match="No folder at absent"):
        searched(root, format="html", folder="absent")


def test_the_index_follows_the_folder(root, drawn_pixels):
    PIL.Image.fromarray(drawn_pixels(9)).save(root / "photos" / "9.png")
    aggregate.main(
        aggregate.FeatureAddOptions(
            features=extracted(root), add=str(root / "index")
        )
    )
    (answer,) = searched(root, "9.png", folder=str(root / "photos"))
    assert names(answer)[0] == "9.png"
    aggregate.main(
        aggregate.FeatureRemoveOptions(
            index=str(root / "index"), remove=("2.png", "9.png")
        )
    )
    (answer,) = searched(root)
    assert not {"2.png", "9.png"} & set(names(answer))


def test_a_folder_of_queries_leaves_out_what_cannot_be_read(root, capsys):
    (root / "photos" / "4.png").write_bytes(b"no photo")
    with pytest.raises(PartialResultError, match=r"1 of 5 .*4\.png"):
        searched(root, str(root / "photos"), format="csv")
    lines = capsys.readouterr().out.splitlines()
    assert "query,rank,similarity,name" in lines
    with pytest.raises(UserError, match=r"4\.png"):
        searched(root, str(root / "photos" / "4.png"))


def test_a_list_of_queries_leaves_out_what_cannot_be_read(root):
    listed = root / "list.txt"
    listed.write_text("photos/1.png\nphotos/3.png\n")
    both = searched(root, list=str(listed), top=1)
    assert [names(answer) for answer in both] == [["1.png"], ["3.png"]]
    listed.write_text("photos/1.png\nabsent.png\n")
    with pytest.raises(PartialResultError, match=r"1 of 2 .*absent\.png"):
        searched(root, list=str(listed))


def test_photos_of_few_votes_are_not_found(root):
    (answer,) = searched(root)
    assert len(answer.matches) > 1
    second = answer.matches[1].similarity
    (answer,) = searched(root, min_similarity=second + 1)
    assert names(answer) == ["2.png"]


def test_features_that_lack_an_indexed_photo_are_no_fault_of_the_queries(
    root, drawn_pixels
):
    PIL.Image.fromarray(drawn_pixels(9)).save(root / "photos" / "9.png")
    aggregate.main(
        aggregate.FeatureAddOptions(
            features=extracted(root), add=str(root / "index")
        )
    )
    (root / "photos" / "9.png").unlink()
    with pytest.raises(UserError, match=r"lack 1 of 5 photos, '9\.png'"):
        searched(
            root,
            str(root / "photos"),
            rerank=("verify:5",),
            local_features=extracted(root),
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"photos": ()}, "Give photos to search by"),
        ({"list": "l"}, "or --list=FILE"),
        ({"rerank": ("qe:2",)}, "no descriptors to re-rank"),
        ({"local_features": "d"}, "is for --rerank=verify"),
        ({"rerank": ("verify",)}, "give --local_features=DIR or --folder=DIR"),
        ({"local_index": "absent"}, "absent holds no index of local features"),
        ({"box": (1, 2, 3)}, "--box takes"),
    ],
)
def test_options_belong_together(root, options, message):
    given = {"photos": ("a.png",), "local_index": str(root / "index")}
    with pytest.raises(UserError, match=message):
        search.main(search.FeatureSearchOptions(**given | options))
