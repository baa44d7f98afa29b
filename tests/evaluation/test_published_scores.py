"""Published numbers stand beside the dataset that they are of."""

import types

import pytest

from agem_tf.evaluation.published_scores import published_scores


def _evaluation(protocol, queries, photos, distractors=0):
    truth = types.SimpleNamespace(
        queries=range(queries), database_names=range(photos)
    )
    return types.SimpleNamespace(
        protocol=protocol,
        ground_truth=truth,
        database_names=range(photos + distractors),
    )


@pytest.mark.parametrize(
    ("sizes", "dataset", "method", "scores"),
    [
        (
            ("revisited", 70, 4993),
            "ROxford",
            "AGeM",
            {"medium": 67.0, "hard": 40.7},
        ),
        (
            ("revisited", 70, 6322),
            "RParis",
            "GeM",
            {"medium": 77.2, "hard": 56.3},
        ),
        (("oxford", 55, 5063), "Oxford5k", "DELF+FT+ATT", {"all": 83.8}),
        (("oxford", 55, 6392, 100_071), "Paris106k", "CONGAS", {"all": 56.8}),
    ],
)
def test_a_benchmark_is_told_by_its_size(sizes, dataset, method, scores):
    published = published_scores(_evaluation(*sizes))
    assert published.dataset == dataset
    rows = [row for name, row in published.rows.items() if method in name]
    assert scores in rows
    assert any("blurred faces" in caveat for caveat in published.caveats)


@pytest.mark.parametrize(
    "sizes",
    [
        ("oxford", 70, 4993),
        ("revisited", 70, 4992),
        ("revisited", 70, 4993, 1_001_001),
    ],
)
def test_nothing_is_put_beside_other_data(sizes):
    assert published_scores(_evaluation(*sizes)) is None
