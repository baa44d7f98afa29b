"""The interface of a protocol, and the form that all results share.

A protocol is one module: its score, its columns, its per-query values, its
curve, the ground truths that it reads and the scores that papers report.
"""

import abc
import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.intervals import mean_interval
from agem_tf.evaluation.places import Found

# Name of the part of a protocol without difficulties.
WHOLE = "all"


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Scores at one difficulty, or of a protocol without difficulties.

    Attributes:
        metrics: name -> value; papers compare the first one.
        per_query: column -> (queries,) values, NaN for queries that are not
            scored. The first column is in [0, 1], higher for better queries.
            Empty if single queries have no score.
        curve: "recall" and "precision" -> (points,) values, and "threshold" if
            one threshold holds for all queries. Empty if there is no curve.
        in_percent: whether the metrics are shares in [0, 1].
    """

    metrics: Mapping[str, float]
    per_query: Mapping[str, np.ndarray] = dataclasses.field(
        default_factory=dict
    )
    curve: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    in_percent: bool = True

    @functools.cached_property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the first metric over the queries.

        None if the metric is not the mean of the first column of `per_query`,
        as for counts, GAP and pooled curves.
        """
        metric = next(iter(self.metrics.values()))
        values = next(iter(self.per_query.values()), np.empty(0))
        scored = values[~np.isnan(values)]
        if len(scored) < 2 or not np.isclose(scored.mean(), metric):
            return None
        return mean_interval(values)


class ProtocolScores(abc.ABC):
    """Result of a protocol."""

    @abc.abstractmethod
    def parts(self) -> dict[str, Part]:
        """Returns the name of each part -> its scores, as files hold them."""

    def shown_parts(self) -> dict[str, Part]:
        """Returns the parts that tables and pages show."""
        return self.parts()

    def main_part(self) -> str:
        """Returns the name of the shown part that stands for all."""
        return next(iter(self.shown_parts()))

    @property
    def in_percent(self) -> bool:
        """Whether tables show the main part in percent."""
        return self.shown_parts()[self.main_part()].in_percent

    def query_scores(self) -> np.ndarray | None:
        """Returns the (queries,) float64 scores of the main part.

        They are in [0, 1], NaN for a query that is not scored. None if the
        protocol has no scores of single queries.
        """
        per_query = self.shown_parts()[self.main_part()].per_query
        return next(iter(per_query.values()), None)


@dataclasses.dataclass(frozen=True)
class PublishedScores:
    """Scores that papers report for one dataset.

    Attributes:
        dataset: its name.
        rows: method -> part -> mAP in percent, None if not reported.
        caveats: sentences about why scores may differ.
    """

    dataset: str
    rows: Mapping[str, Mapping[str, float | None]]
    caveats: tuple[str, ...]


class Protocol(abc.ABC):
    """Scores what a search found against a ground truth.

    Attributes:
        name: value of --protocol.
        names_imply_truth: whether `truth_from_names` is supported.
        csv_columns: first columns of the CSV files that `read_csv` reads.
        published: (queries, database photos, distractors) -> what papers
            report for the benchmark of that size.
    """

    name: ClassVar[str]
    names_imply_truth: ClassVar[bool] = False
    csv_columns: ClassVar[tuple[str, ...]] = ()
    published: ClassVar[Mapping[tuple[int, int, int], PublishedScores]] = {}

    @abc.abstractmethod
    def score(self, found: Found, truth: GroundTruth) -> ProtocolScores:
        """Scores the result of `places.search_database`."""

    def fits(self, truth: GroundTruth) -> bool:
        """Whether only this protocol makes full use of the labels."""
        return False

    def truth_from_names(self, names: Sequence[str]) -> GroundTruth:
        """Makes the ground truth that the names of the photos imply.

        Raises:
            UserError: a name is not of the benchmark's form.
        """
        raise NotImplementedError

    def read_csv(
        self,
        path: str | os.PathLike,
        database_names: Sequence[str],
        labels: str | os.PathLike | None = None,
    ) -> GroundTruth:
        """Reads a ground truth whose columns start with `csv_columns`.

        Args:
            path: CSV file.
            database_names: names of the database photos.
            labels: CSV file with the landmark of each database photo, for
                protocols that need it.

        Raises:
            UserError: the file is missing or of another form.
        """
        raise NotImplementedError
