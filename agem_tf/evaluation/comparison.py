"""Differences of two evaluations of the same queries, with their uncertainty.

Queries differ far more among themselves than two methods on one query, so that
means are compared query by query: a paired bootstrap over the queries.
"""

from dataclasses import dataclass

import numpy as np

from agem_tf.errors import UserError
from agem_tf.evaluation.intervals import mean_interval
from agem_tf.evaluation.protocols.protocol import WHOLE
from agem_tf.evaluation.results import StoredScores


@dataclass(frozen=True, eq=False)
class PartComparison:
    """Scores of two evaluations at one difficulty, query by query.

    Attributes:
        part: name of the difficulty, `protocol.WHOLE` without any.
        first: (queries,) scores of the first evaluation in [0, 1], NaN where
            a query is not scored.
        second: (queries,) scores of the second one, likewise.
        interval: bounds of the 95 % bootstrap interval of the mean difference.
    """

    part: str
    first: np.ndarray
    second: np.ndarray
    interval: tuple[float, float]

    @property
    def differences(self) -> np.ndarray:
        """(queries,) second minus first."""
        return self.second - self.first

    @property
    def means(self) -> tuple[float, float]:
        """Means over the queries that both evaluations score."""
        scored = ~np.isnan(self.differences)
        first, second = self.first[scored], self.second[scored]
        return float(first.mean()), float(second.mean())

    @property
    def num_scored(self) -> int:
        """Number of queries that both evaluations score."""
        return int(np.sum(~np.isnan(self.differences)))

    @property
    def num_gained(self) -> int:
        """Number of queries that the second evaluation scores higher."""
        return int(np.sum(self.differences > 0))

    @property
    def num_lost(self) -> int:
        """Number of queries that the second evaluation scores lower."""
        return int(np.sum(self.differences < 0))

    def gained_most(self, count: int) -> list[int]:
        """Returns at most `count` queries, by falling gain."""
        return _lowest_negative(-self.differences, count)

    def lost_most(self, count: int) -> list[int]:
        """Returns at most `count` queries, by falling loss."""
        return _lowest_negative(self.differences, count)


def compare_scores(
    first: StoredScores, second: StoredScores
) -> list[PartComparison]:
    """Compares each difficulty of two evaluations.

    Difficulties that are equal in both, as without hard photos, are one,
    `WHOLE`.

    Raises:
        UserError: they have other queries, another protocol, or one that
            gives single queries no score.
    """
    if first.protocol != second.protocol:
        raise UserError(
            f"The evaluations have different protocols, {first.protocol} and "
            f"{second.protocol}; evaluate both with one --protocol."
        )
    if list(first.query_names) != list(second.query_names):
        raise UserError(
            "The evaluations have different queries; compare evaluations of "
            "one ground truth."
        )
    scores = {
        part: np.stack([first.per_query[part], second.per_query[part]])
        for part in first.per_query
        if part in second.per_query
    }
    if not scores:
        raise UserError(
            f"The protocol {first.protocol} gives single queries no score; "
            "evaluate both with another --protocol."
        )
    one, *others = scores.values()
    if others and all(np.array_equal(one, x, equal_nan=True) for x in others):
        scores = {WHOLE: one}
    return [
        PartComparison(part, *both, mean_interval(both[1] - both[0]))
        for part, both in scores.items()
    ]


def _lowest_negative(values: np.ndarray, count: int) -> list[int]:
    order = np.argsort(values, kind="stable")[:count]
    return [int(query) for query in order if values[query] < 0]
