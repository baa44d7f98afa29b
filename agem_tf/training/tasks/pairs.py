"""Pairs of a query and a positive, some of which are drawn in each epoch.

retrieval-SfM lists its pairs, with one pair per positive of a query. Most other
datasets have a ground truth that lists the positives of each query. Google
Landmarks has a million photos with nothing but a landmark each. Tuples are made
in the same way from all three.
"""

from typing import Protocol

import numpy as np

from agem_tf.datasets.prepared import PreparedDataset, Split
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth


class Pairs(Protocol):
    """Source of the queries and positives of tuples.

    Attributes:
        candidates: (photos,) int64 positions of the possible negatives.
    """

    candidates: np.ndarray

    def __len__(self) -> int:
        """Returns the largest number of pairs in one draw."""

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Returns (count, 2) positions of queries and positives.

        Args:
            rng: Random generator of the draw.
            count: Number of pairs, at most the length.
        """


class ListedPairs:
    """The listed pairs of a split; each is drawn at most once.

    Any photo of the split may be a negative, in a pair or not.

    Args:
        split: A split with pairs.
    """

    def __init__(self, split: Split):
        self._pairs = split.pairs
        self.candidates = np.arange(len(split))

    def __len__(self) -> int:
        return len(self._pairs)

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return self._pairs[rng.permutation(len(self._pairs))[:count]]


class AnsweredQueries:
    """The queries of a ground truth; each is drawn at most once.

    The positive of a query is drawn from its easy and hard photos. Photos that
    are neither a query nor a positive show too little of a landmark to learn
    from, so they are not negatives either (interpretation: retrieval-SfM,
    which the published training uses, has no such photos).

    Args:
        split: The photos.
        ground_truth: Ground truth of the same photos.
    """

    def __init__(self, split: Split, ground_truth: GroundTruth):
        photos = split.find(ground_truth.database_names)
        self._positives = {
            int(query): photos[truth.positives]
            for query, truth in zip(
                split.find(ground_truth.query_names),
                ground_truth.queries,
                strict=True,
            )
            if truth.positives.size
        }
        self._queries = np.array(sorted(self._positives), np.int64)
        self.candidates = np.unique(
            np.concatenate([self._queries, *self._positives.values()])
        )

    def __len__(self) -> int:
        return len(self._queries)

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        queries = rng.permutation(self._queries)[:count]
        positives = [rng.choice(self._positives[query]) for query in queries]
        return np.column_stack([queries, positives])


class SameLandmark:
    """Every photo is a query for the others of its landmark, at most once.

    The only photo of a landmark is in no tuple, as in `AnsweredQueries`.

    Args:
        split: A split with labels.
    """

    def __init__(self, split: Split):
        self._sorted = np.argsort(split.labels, kind="stable")
        _, landmarks, sizes = np.unique(
            split.labels, return_inverse=True, return_counts=True
        )
        self._sizes = sizes[landmarks]
        self._starts = (np.cumsum(sizes) - sizes)[landmarks]
        self._places = np.empty_like(self._sorted)
        self._places[self._sorted] = np.arange(len(split))
        self.candidates = np.flatnonzero(self._sizes > 1)

    def __len__(self) -> int:
        return len(self.candidates)

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        queries = rng.permutation(self.candidates)[:count]
        starts, sizes = self._starts[queries], self._sizes[queries]
        places = self._places[queries] - starts + rng.integers(1, sizes)
        return np.column_stack([queries, self._sorted[starts + places % sizes]])


def find_pairs(split: Split, dataset: PreparedDataset) -> Pairs:
    """Returns the pairs of a split: listed, or of its ground truth or labels.

    Args:
        split: A split of the dataset.
        dataset: Loads the ground truth of the split, if it has one.

    Raises:
        UserError: No query has a positive.
    """
    if split.pairs is not None:
        pairs = ListedPairs(split)
    elif dataset.has_ground_truth(split.name):
        pairs = AnsweredQueries(split, dataset.ground_truth(split.name))
    else:
        pairs = SameLandmark(split)
    if not len(pairs):
        raise UserError(
            f"No query of split {split.name} has a positive; training needs "
            "landmarks with two photos."
        )
    return pairs
