"""From descriptor sets to scores: the one way in which rankings are made."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agem_tf.artifacts import (
    DescriptorSet,
    Ranking,
    atomic_file,
    check_same_provenance,
)
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.protocols import RevisitedScores, evaluate_revisited
from agem_tf.evaluation.tables import scores_dict
from agem_tf.similarity import rank


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores and the rankings that they come from.

    Attributes:
        scores: Easy, Medium and Hard.
        ranks: (queries, photos) database indices of the ground truth.
        query_descriptors: (queries, dimension).
        database_descriptors: (photos, dimension), possibly a memory map.
    """

    scores: RevisitedScores
    ranks: np.ndarray
    query_descriptors: np.ndarray
    database_descriptors: np.ndarray

    def similarity(self, query: int, photo: int) -> float:
        """Dot product of a query and a database photo."""
        return float(
            self.query_descriptors[query] @ self.database_descriptors[photo]
        )

    def save(
        self,
        directory: str | os.PathLike,
        ground_truth: GroundTruth,
        provenance: Mapping[str, Any],
    ) -> None:
        """Writes metrics.json and the `Ranking` artifact ranking/.

        Args:
            directory: of both.
            ground_truth: that was evaluated.
            provenance: of the descriptors, and how they were re-ranked.
        """
        Ranking(
            self.ranks,
            ground_truth.query_names,
            ground_truth.database_names,
            provenance,
        ).save(Path(directory, "ranking"))
        with atomic_file(Path(directory, "metrics.json")) as temporary:
            text = json.dumps(scores_dict(self.scores), indent=2)
            temporary.write_text(text + "\n", encoding="utf-8")


def evaluate_descriptors(
    database: DescriptorSet,
    ground_truth: GroundTruth,
    queries: DescriptorSet | None = None,
    search: Callable[[np.ndarray, np.ndarray], np.ndarray] = rank,
) -> Evaluation:
    """Ranks the database for every query and scores the rankings.

    Args:
        database: has a descriptor of each database photo, in any order.
        ground_truth: names the photos and the queries.
        queries: descriptors of the query photos, cropped to their boxes; by
            default the queries are looked up in the database, which is right
            where they have no boxes.
        search: makes the (queries, photos) ranking of query and database
            descriptors; by default the exact one, without re-ranking.

    Raises:
        UserError: a photo has no descriptor, the sets were made differently,
            or the queries have boxes but no descriptors of their own.
    """
    if queries is None:
        _check_no_boxes(ground_truth)
        queries = database
    check_same_provenance(
        queries.provenance, database.provenance, "queries", "database"
    )
    query_rows = _rows(queries, ground_truth.query_names, "query")
    database_rows = _rows(
        database, ground_truth.database_names, "database photo"
    )
    ranks = search(query_rows, database_rows)
    return Evaluation(
        evaluate_revisited(ranks, ground_truth),
        ranks,
        query_rows,
        database_rows,
    )


def _rows(
    descriptor_set: DescriptorSet, names: Sequence[str], meaning: str
) -> np.ndarray:
    """The descriptors of `names`, without a copy if they are in order."""
    if list(descriptor_set.names) == list(names):
        return descriptor_set.descriptors
    position = {name: i for i, name in enumerate(descriptor_set.names)}
    missing = [name for name in names if name not in position]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(names)} {meaning} names of the ground "
            f"truth have no descriptor, {missing[0]!r} first; extract the "
            "split that the ground truth belongs to."
        )
    return descriptor_set.descriptors[[position[name] for name in names]]


def _check_no_boxes(ground_truth: GroundTruth) -> None:
    if ground_truth.has_boxes:
        raise UserError(
            "The queries of this ground truth are boxes in photos; extract "
            "them with --queries and give both descriptor sets."
        )
