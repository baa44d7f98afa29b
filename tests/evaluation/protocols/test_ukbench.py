"""The score of UKBench and the ground truth in its file names."""

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.evaluation.protocols.ukbench import (
    evaluate_ukbench,
    ukbench_ground_truth,
)


def test_ukbench_counts_true_photos_among_four():
    truth = ukbench_ground_truth([f"full/ukbench{i:05}.jpg" for i in range(8)])
    assert truth.query_names == truth.database_names
    perfect = np.array(
        [[0, 1, 2, 3, 4, 5, 6, 7]] * 4 + [[7, 6, 5, 4, 3, 2, 1, 0]] * 4
    )
    assert evaluate_ukbench(perfect, truth).mean_true_in_top_4 == 4
    mixed = np.array([[i, i ^ 4, i ^ 5, i ^ 1] for i in range(8)])
    scores = evaluate_ukbench(mixed, truth)
    assert scores.true_in_top_4.tolist() == [2] * 8
    assert scores.mean_true_in_top_4 == 2
    assert not scores.in_percent


def test_ukbench_counts_missing_photos_of_a_short_ranking_as_wrong():
    truth = ukbench_ground_truth(["0.jpg", "1.jpg", "6.jpg"])
    scores = evaluate_ukbench(np.array([[0, 1], [1, 2], [2, 0]]), truth)
    assert scores.true_in_top_4.tolist() == [2, 1, 1]
    with pytest.raises(UserError, match=r"3 queries.*\(2, 2\)"):
        evaluate_ukbench(np.array([[0, 1], [1, 2]]), truth)
