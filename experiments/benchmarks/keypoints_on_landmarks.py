"""Where the best local features lie, and how many of them are needed.

    python experiments/benchmarks/keypoints_on_landmarks.py \
        data/synthetic_landmarks tables/seed0/DELF+FT_global \
        tables/seed0/DELF+FT_global_queries \
        NAME=FEATURES,QUERIES NAME=FEATURES,QUERIES

Of rendered photos it is known which pixels show the facade of the landmark.
Arguments: the prepared dataset; descriptors of its test photos and queries, by
whose dot products the 20 candidates of each query are chosen; and per row
local features of both. For the N best features of each photo:

- on: share of the features of all test photos that lie on the landmark; "area"
  is the landmark's share of the pixels;
- mAP: Medium and Hard after verification of the candidates.
"""

import sys

import numpy as np
from measuring import print_table

from agem_tf import rendered_landmarks
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.datasets.synthetic_landmarks import read_view
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.local_features import LocalFeatureSet
from agem_tf.evaluation.evaluating import evaluate_descriptors
from agem_tf.retrieval.reranking import SpatialVerification

COUNTS = (25, 50, 100, 200, 300)


def landmark_masks(dataset):
    """Returns name -> (height, width) bool of each test photo."""
    split = dataset.split("test")
    seed = dataset.manifest["options"].get("seed", 0)
    masks = {}
    for number, name in enumerate(split.names):
        view = read_view(split, number)
        # Labels count the landmarks of all splits, as the renderer does.
        landmark = rendered_landmarks.make_landmark(seed, view.landmark)
        height, width = map(int, split.sizes[number])
        masks[name] = rendered_landmarks.landmark_mask(
            view, landmark, width, height
        )
    return masks


def share_on_landmarks(features, masks, count):
    """Returns the share of the `count` best features that lie on landmarks."""
    hits = []
    for name, mask in masks.items():
        found = features[name].strongest(count)
        x, y = np.rint(found.keypoints).astype(int).T
        height, width = mask.shape
        hits.append(mask[y.clip(0, height - 1), x.clip(0, width - 1)])
    return np.concatenate(hits).mean()


def verified(dataset, pooled, queries, features, query_features, count):
    """Returns the scores after verification with `count` features."""
    truth = dataset.ground_truth("test")
    step = SpatialVerification(20, min_inliers=5, threshold=20.0)

    def verify(query, order):
        return step.reorder(
            query_features[truth.query_names[query]].strongest(count),
            lambda photo: features[truth.database_names[photo]].strongest(
                count
            ),
            order,
        )[0]

    return evaluate_descriptors(pooled, truth, queries, verify=verify).scores


def main(data: str, pooled: str, queries: str, *rows: str) -> None:
    """Prints a row per kind of features and number of them."""
    dataset = PreparedDataset(data)
    masks = landmark_masks(dataset)
    area = np.concatenate([mask.ravel() for mask in masks.values()]).mean()
    descriptors = [DescriptorSet.load(path) for path in (pooled, queries)]

    def table():
        for row in rows:
            name, _, paths = row.partition("=")
            sets = [LocalFeatureSet.load(path) for path in paths.split(",")]
            for count in COUNTS:
                scores = verified(dataset, *descriptors, *sets, count)
                share = share_on_landmarks(sets[0], masks, count)
                medium, hard = (
                    100 * part.mean_average_precision
                    for part in (scores.medium, scores.hard)
                )
                yield {
                    "features": name,
                    "per photo": count,
                    "on, %": f"{100 * share:.1f}",
                    "area, %": f"{100 * area:.1f}",
                    "mAP medium": f"{medium:.1f}",
                    "mAP hard": f"{hard:.1f}",
                }

    print_table(table())


if __name__ == "__main__":
    main(*sys.argv[1:])
