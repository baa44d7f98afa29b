"""Scores of spatial verification by its parameters.

    python experiments/benchmarks/verification_defaults.py \
        data/synthetic_landmarks validation GLOBAL,QUERIES \
        NAME=FEATURES,QUERIES

Arguments: the prepared dataset and the split; descriptors of the split and of
its queries, by whose dot products the 100 candidates of each query are chosen;
and per kind of local features those of both. Choose parameters on the
validation landmarks; the test landmarks are for the final scores. Rows are per
model, threshold and ratio, columns per fewest inliers that count: Medium and
Hard mAP.
"""

import itertools
import sys

import numpy as np
from measuring import print_table

from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.local_features import LocalFeatureSet
from agem_tf.evaluation.evaluating import evaluate_descriptors
from agem_tf.retrieval.geometry_options import (
    GeometryOptions,
    default_estimator,
)
from agem_tf.retrieval.photo_geometry import verify

MODELS, THRESHOLDS, RATIOS = ("homography",), (8.0, 12.0, 20.0, 30.0), (0.9,)
LEAST = (4, 5, 6, 8, 10, 15)
CANDIDATES = 100


def mean_precisions(data, split, descriptors, reorder=None):
    """Returns Medium and Hard mAP in percent."""
    dataset = PreparedDataset(data)
    scores = evaluate_descriptors(
        descriptors[0],
        dataset.ground_truth(split),
        descriptors[1],
        protocol=dataset.protocol(split),
        verify=reorder,
    ).scores
    return " / ".join(
        f"{100 * part.mean_average_precision:.1f}"
        for part in (scores.medium, scores.hard)
    )


def count_inliers(sets, truth, candidates, options):
    """Returns (queries, photos) inliers of the candidates, else 0."""
    inliers = np.zeros((len(truth.queries), len(truth.database_names)), int)
    for query, photos in candidates.items():
        features = sets[1][truth.query_names[query]]
        for photo in photos:
            other = sets[0][truth.database_names[photo]]
            found = verify(features, other, options)
            inliers[query, photo] = found.num_inliers
    return inliers


def main(data: str, split: str, descriptors: str, *kinds: str) -> None:
    """Prints a row per kind of features and parameters of the estimator."""
    pooled = [DescriptorSet.load(path) for path in descriptors.split(",")]
    truth = PreparedDataset(data).ground_truth(split)
    candidates = {}

    def note(query, order):
        candidates[query] = order[:CANDIDATES]
        return order

    print(f"Not verified: {mean_precisions(data, split, pooled, note)}")

    def table():
        for kind in kinds:
            name, _, paths = kind.partition("=")
            sets = [LocalFeatureSet.load(path) for path in paths.split(",")]
            for model, threshold, ratio in itertools.product(
                MODELS, THRESHOLDS, RATIOS
            ):
                estimator = default_estimator(model)
                options = GeometryOptions(model, estimator, threshold, ratio)
                inliers = count_inliers(sets, truth, candidates, options)
                row = {
                    "features": name,
                    "model": model,
                    "threshold": threshold,
                    "ratio": ratio,
                }
                for least in LEAST:

                    def reorder(query, order, inliers=inliers, least=least):
                        best, rest = np.split(order, [CANDIDATES])
                        counts = inliers[query, best]
                        counted = np.where(counts < least, 0, counts)
                        by_inliers = np.argsort(-counted, kind="stable")
                        return np.concatenate([best[by_inliers], rest])

                    row[f"{least} inliers"] = mean_precisions(
                        data, split, pooled, reorder
                    )
                yield row

    print_table(table())


if __name__ == "__main__":
    main(*sys.argv[1:])
