"""The numbers of an evaluation as files, written and read.

OUTPUT/
  metrics.json          what was scored, the scores in [0, 1], and the 95 %
                        intervals of the first score of each difficulty
  per_query.csv         one row per query
  precision_recall.csv  the curves, for protocols that have one
  ranking/              the best photos of each query, a `Ranking`
"""

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TextIO

import numpy as np

from agem_tf.errors import UserError
from agem_tf.evaluation.evaluating import Evaluation
from agem_tf.evaluation.protocols.protocol import WHOLE
from agem_tf.evaluation.tables import scores_dict
from agem_tf.files.manifest import read_manifest
from agem_tf.retrieval.ranking import Ranking

# Kind of a directory that holds these files.
KIND = "evaluation"
# A pooled curve has one point per answer to each query.
_MAX_POINTS = 1000


def write_numbers(
    directory: Path, evaluation: Evaluation, provenance: Mapping[str, Any]
) -> None:
    """Writes all numbers of an evaluation.

    Args:
        directory: existing directory; see the module for its files.
        evaluation: result of any protocol.
        provenance: how the descriptors were made and re-ranked.
    """
    truth = evaluation.ground_truth
    metrics = {
        "protocol": evaluation.protocol,
        "queries": len(truth.queries),
        "database": len(truth.database_names),
        "distractors": evaluation.num_distractors,
        "scores": scores_dict(evaluation.scores),
        "intervals": {
            part: content.interval
            for part, content in evaluation.scores.parts().items()
        },
        "notes": list(evaluation.notes),
        "provenance": dict(provenance),
    }
    text = json.dumps(metrics, indent=2)
    (directory / "metrics.json").write_text(text + "\n", encoding="utf-8")
    _write_rows(directory / "per_query.csv", _query_rows(evaluation))
    curves = list(_curve_rows(evaluation))
    if len(curves) > 1:
        _write_rows(directory / "precision_recall.csv", curves)
    Ranking(
        evaluation.ranks,
        truth.query_names,
        evaluation.database_names,
        provenance,
    ).save(directory / "ranking")


@dataclass(frozen=True, eq=False)
class StoredScores:
    """The scores of single queries that `write_numbers` wrote.

    Attributes:
        protocol: name of the protocol.
        query_names: names of the queries.
        per_query: difficulty -> (queries,) values in [0, 1] of the score that
            stands for it, for example the average precision; NaN where a query
            is not scored. Difficulties without any score are left out.
        ranking: the best photos of each query.
    """

    protocol: str
    query_names: Sequence[str]
    per_query: Mapping[str, np.ndarray]
    ranking: Ranking

    @classmethod
    def load(cls, directory: str | os.PathLike) -> Self:
        """Reads the directory of an evaluation.

        Raises:
            UserError: the directory is missing, damaged or of another kind.
        """
        directory = Path(directory)
        read_manifest(directory, KIND, verify=True)
        ranking = Ranking.load(directory / "ranking")
        try:
            text = (directory / "metrics.json").read_text(encoding="utf-8")
            metrics = json.loads(text)
            with _open_rows(directory / "per_query.csv", "r") as file:
                rows = list(csv.DictReader(file))
            return cls(
                metrics["protocol"],
                ranking.query_names,
                _main_scores(rows, metrics["scores"]),
                ranking,
            )
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise UserError(
                f"{directory} holds no readable scores of queries; evaluate "
                "again."
            ) from error


def evenly_spaced(total: int, count: int) -> np.ndarray:
    """Returns `count` indices below `total`, or all if there are fewer."""
    return np.linspace(0, total - 1, min(count, total)).round().astype(int)


def _query_rows(evaluation: Evaluation) -> Iterator[Sequence[object]]:
    """Yields a header, then the scores and the best photo of each query."""
    columns = {
        name if part == WHOLE else f"{name}_{part}": values
        for part, content in evaluation.scores.parts().items()
        for name, values in content.per_query.items()
    }
    yield "query", "positives", *columns, "best", "best_similarity"
    truth = evaluation.ground_truth
    for row, name in enumerate(truth.query_names):
        yield (
            name,
            len(truth.queries[row].positives),
            *(_cell(values[row]) for values in columns.values()),
            evaluation.database_names[evaluation.ranks[row, 0]],
            _cell(evaluation.similarities[row, 0]),
        )


def _curve_rows(evaluation: Evaluation) -> Iterator[Sequence[object]]:
    yield "part", "recall", "precision", "threshold"
    for part, content in evaluation.scores.parts().items():
        if not content.curve:
            continue
        recall = content.curve["recall"]
        thresholds = content.curve.get(
            "threshold", np.full(len(recall), np.nan)
        )
        columns = recall, content.curve["precision"], thresholds
        for point in evenly_spaced(len(recall), _MAX_POINTS):
            yield part, *(_cell(values[point]) for values in columns)


def _main_scores(
    rows: Sequence[Mapping[str, str]], parts: Sequence[str]
) -> dict[str, np.ndarray]:
    """Returns the first column of each difficulty that scores any query."""
    scores = {}
    for part in parts:
        suffix = "" if part == WHOLE else f"_{part}"
        columns = [
            name for name in list(rows[0])[2:-2] if name.endswith(suffix)
        ]
        for column in columns[:1]:
            values = np.array([float(row[column] or "nan") for row in rows])
            if not np.isnan(values).all():
                scores[part] = values
    return scores


def _cell(value: np.floating) -> str:
    return "" if np.isnan(value) else f"{value:.6g}"


def _write_rows(path: Path, rows: Sequence[Sequence[object]]) -> None:
    with _open_rows(path, "w") as file:
        csv.writer(file).writerows(rows)


def _open_rows(path: Path, mode: str) -> TextIO:
    # Photo names on Linux are bytes that need not be valid UTF-8.
    return path.open(
        mode, newline="", encoding="utf-8", errors="surrogateescape"
    )
