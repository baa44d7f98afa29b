"""Pairs of a query and its positive, of which an epoch draws some.

retrieval-SfM lists its pairs, in which a query occurs as often as it has
positives; most other datasets have a ground truth that says what a query should
find; Google Landmarks trains on a million photos of which only the landmarks
are known. Tuples are made of all of them in the same way.
"""

from typing import Protocol

import numpy as np

from agem_tf.datasets.prepared import PreparedDataset, Split
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth


class Pairs(Protocol):
    """Where tuples get their queries and positives from.

    Attributes:
        candidates: (photos,) int64 positions of what may be a negative.
    """

    candidates: np.ndarray

    def __len__(self) -> int:
        """Returns how many pairs one draw may have."""

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Returns (count, 2) positions of queries and positives.

        Args:
            rng: decides which.
            count: at most the length.
        """


class ListedPairs:
    """The pairs that a split lists; each is drawn once at most.

    Any photo of the split may be a negative, whether a pair names it or not.

    Args:
        split: with pairs.
    """

    def __init__(self, split: Split):
        self._pairs = split.pairs
        self.candidates = np.arange(len(split))

    def __len__(self) -> int:
        return len(self._pairs)

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return self._pairs[rng.permutation(len(self._pairs))[:count]]


class AnsweredQueries:
    """The queries of a ground truth; each is drawn once at most.

    A query's positive is drawn from its easy and hard photos. Photos that are
    neither a query nor anybody's positive show too little to teach anything,
    so they are no negatives either (interpretation: retrieval-SfM, which the
    published training uses, has no such photos).

    Args:
        split: the photos.
        ground_truth: of the same photos.
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
    """Every photo asks for the others of its landmark, once at most.

    Photos that are alone are in no tuple, as in `AnsweredQueries`.

    Args:
        split: with labels.
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
    """Returns the pairs that a split lists, or else that follow from it.

    Args:
        split: of the dataset.
        dataset: knows whether the split has a ground truth, and which.

    Raises:
        UserError: there are none.
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
