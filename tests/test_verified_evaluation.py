"""`agem_tf.evaluate --rerank=verify` with stored local features."""

import numpy as np
import PIL.Image
import pytest

from agem_tf import evaluate, extract
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.local_features import (
    LocalFeatures,
    LocalFeatureWriter,
)
from agem_tf.errors import UserError

NAMES = [f"place{place}/{photo}.jpg" for place in range(4) for photo in "012"]


def write_features(directory, names=NAMES, dimension=16, model="m"):
    """Photos of one place share 40 of 60 features."""
    with LocalFeatureWriter(
        directory, names, dimension, {"model": model}
    ) as writer:
        for number, name in enumerate(names):
            place = np.random.default_rng(int(name[5]))
            own = np.random.default_rng(100 + number)
            points = place.uniform(0, 300, (60, 2)) + number
            descriptors = place.normal(size=(60, dimension)) / 4
            points[40:] = own.uniform(0, 300, (20, 2))
            descriptors[40:] = own.normal(size=(20, dimension)) / 4
            ones = np.ones(60)
            writer.write(
                LocalFeatures(points, descriptors, ones, ones, (400, 400))
            )


@pytest.fixture
def options(tmp_path):
    rows = np.random.default_rng(0).normal(size=(len(NAMES), 8))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    DescriptorSet(NAMES, rows).save(tmp_path / "global")
    write_features(tmp_path / "local")
    return {
        "descriptors": str(tmp_path / "global"),
        "protocol": "leave_one_out",
        "rerank": ("verify:11",),
        "local_features": str(tmp_path / "local"),
    }


def test_photos_of_one_place_are_found_by_their_inliers(options):
    first = evaluate.main(
        evaluate.EvaluateOptions(
            **options | {"rerank": (), "local_features": None}
        )
    )
    verified = evaluate.main(
        evaluate.EvaluateOptions(**options | {"rerank": ("verify:12",)})
    )
    assert first.scores.query_scores().mean() < 0.7
    np.testing.assert_array_equal(verified.scores.query_scores(), 1)
    assert verified.ranks.shape == (12, 12)


def test_verification_follows_other_steps_and_only_its_candidates(options):
    expanded = evaluate.EvaluateOptions(
        **options | {"rerank": ("qe:2,0",), "local_features": None}
    )
    chained = evaluate.EvaluateOptions(
        **options | {"rerank": ("qe:2,0", "verify:3")}
    )
    first, then = evaluate.main(expanded).ranks, evaluate.main(chained).ranks
    np.testing.assert_array_equal(first[:, 3:], then[:, 3:])
    np.testing.assert_array_equal(np.sort(first[:, :3]), np.sort(then[:, :3]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"local_features": None}, "verify needs --local_features"),
        ({"rerank": ()}, "--local_features is for --rerank=verify"),
        (
            {"query_features": "x", "local_features": None, "rerank": ()},
            "--query_features needs --local_features",
        ),
        ({"local_features": "absent"}, "absent does not exist"),
    ],
)
def test_features_and_step_belong_together(options, changes, message):
    with pytest.raises(UserError, match=message):
        evaluate.main(evaluate.EvaluateOptions(**options | changes))


def test_features_of_other_photos_or_another_model_are_refused(
    options, tmp_path
):
    write_features(tmp_path / "part", NAMES[:-2])
    with pytest.raises(UserError, match=r"2 of 12 photos, 'place3/1\.jpg'"):
        evaluate.main(
            evaluate.EvaluateOptions(
                **options | {"local_features": str(tmp_path / "part")}
            )
        )
    write_features(tmp_path / "other", model="n")
    with pytest.raises(UserError, match="differ in model"):
        evaluate.main(
            evaluate.EvaluateOptions(
                **options, query_features=str(tmp_path / "other")
            )
        )


def test_a_folder_is_extracted_for_the_names_of_its_index(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name in NAMES[:2]:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (8, 10, 3), np.uint8)
        PIL.Image.fromarray(pixels).resize((160, 128)).save(path)
    found = extract.main(
        extract.ExtractLocalOptions(
            local="rootsift",
            photos=str(tmp_path / "photos"),
            output=str(tmp_path / "features"),
            max_features=50,
        )
    )
    assert found.names == NAMES[:2]
    assert "Local features of 2 photos" in capsys.readouterr().out
    for options, message in (
        ({}, "Give --data_dir"),
        ({"photos": "p", "data_dir": "d"}, "Give --data_dir"),
        ({"photos": "p", "queries": True}, "are for --data_dir"),
        ({"photos": "p", "split": "train"}, "are for --data_dir"),
        ({"photos": "p", "split": "test"}, "are for --data_dir"),
    ):
        with pytest.raises(UserError, match=message):
            extract.ExtractLocalOptions(
                local="rootsift", output="out", **options
            )
