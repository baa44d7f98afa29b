"""The page of an evaluation."""

import numpy as np
import pytest

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.evaluation.evaluating import evaluate_descriptors
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.evaluation.protocols import PROTOCOLS
from agem_tf.pages.scores_page import scores_page


def _evaluate(protocol, queries=5, photos=40, **options):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(queries + photos, 6))
    truth = GroundTruth(
        [f"photo {i}" for i in range(photos)],
        [f"query {i}" for i in range(queries)],
        [
            QueryTruth([i % photos], [(i + 1) % photos], [])
            for i in range(queries)
        ],
    )
    return evaluate_descriptors(
        DescriptorSet(truth.database_names, rows[queries:]),
        truth,
        DescriptorSet(truth.query_names, rows[:queries]),
        protocol=protocol,
        **options,
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_has_a_page(protocol):
    report = scores_page(_evaluate(protocol, notes=["Beware."]), "ours")
    page = report.to_html()
    assert f"Scores: {protocol}" in page
    assert "ours: 5 queries among 40 photos." in page
    assert "Beware." in page
    title = "Scores" if protocol == "ukbench" else "Percent"
    assert report.tables[0].title == title
    assert [a.tiles[0].verdict for a in report.rank_lists] == ["query"] * 5
    (figure,) = report.figures
    panels = 2 - (protocol in ("ukbench", "gldv2", "gap", "precision_recall"))
    assert figure.image.width == 690 * panels


def test_published_scores_stand_beside_ours():
    evaluation = _evaluate("revisited", 70, 4993)
    report = scores_page(evaluation, "ours")
    (table,) = [t for t in report.tables if "ROxford" in t.title]
    medium = evaluation.scores.medium.mean_average_precision
    assert table.columns == ["method", "mAP medium", "mAP hard"]
    assert table.rows[0][:2] == ["here: ours", f"{100 * medium:.1f}"]
    assert ["AGeM, ResNet-101 (arXiv 1811.00202)", "67.0", "40.7"] in table.rows
    assert "blurred faces" in table.note
    other = scores_page(_evaluate("revisited", 70, 4992), "ours")
    assert not any("published" in table.title for table in other.tables)


def test_each_query_has_a_row_up_to_a_limit():
    few, many = (
        scores_page(_evaluate("gldv2", queries), "ours")
        for queries in (200, 201)
    )
    assert [len(table.rows) for table in few.tables] == [1, 200]
    assert [len(table.rows) for table in many.tables] == [1]
    assert len(many.rank_lists) == 20


def test_distractors_are_counted_in_the_subtitle():
    distractors = DescriptorSet(["x", "y"], np.ones((2, 6)))
    evaluation = _evaluate("oxford", distractors=distractors)
    assert (
        "40 photos and 2 distractors" in scores_page(evaluation, "o").subtitle
    )
