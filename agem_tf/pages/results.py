"""An evaluation as files, which appear together or not at all.

OUTPUT/
  metrics.json          what was scored, and the scores in [0, 1]
  per_query.csv         one row a query
  precision_recall.csv  the curves, under protocols that have one
  report.html           the same to look at
  ranking/              the best photos of each query, a `Ranking`
  manifest.json         checksums
"""

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agem_tf.evaluation.evaluating import Evaluation
from agem_tf.evaluation.parts import WHOLE, parts_of
from agem_tf.evaluation.tables import scores_dict
from agem_tf.files.atomic_writing import atomic_directory
from agem_tf.files.manifest import write_manifest
from agem_tf.pages.report import Report
from agem_tf.retrieval.ranking import Ranking

KIND = "evaluation"
# A pooled curve has a point for each answer to each query.
_MAX_POINTS = 1000


def save_results(
    directory: str | os.PathLike,
    evaluation: Evaluation,
    provenance: Mapping[str, Any],
    report: Report,
) -> None:
    """Writes everything that is known of an evaluation.

    Args:
        directory: see the module; an older evaluation in it is replaced.
        evaluation: of any protocol.
        provenance: of the descriptors, and how they were re-ranked.
        report: the page.

    Raises:
        UserError: the directory holds files of another origin, or cannot be
            written.
    """
    with atomic_directory(directory) as temporary:
        _write_metrics(temporary / "metrics.json", evaluation, provenance)
        _write_rows(temporary / "per_query.csv", _query_rows(evaluation))
        curves = list(_curve_rows(evaluation))
        if len(curves) > 1:
            _write_rows(temporary / "precision_recall.csv", curves)
        report.save(temporary / "report.html")
        Ranking(
            evaluation.ranks,
            evaluation.ground_truth.query_names,
            evaluation.database_names,
            provenance,
        ).save(temporary / "ranking")
        write_manifest(temporary, KIND)


def _write_metrics(
    path: Path, evaluation: Evaluation, provenance: Mapping[str, Any]
) -> None:
    truth = evaluation.ground_truth
    photos = len(truth.database_names)
    content = {
        "protocol": evaluation.protocol,
        "queries": len(truth.queries),
        "database": photos,
        "distractors": len(evaluation.database_names) - photos,
        "scores": scores_dict(evaluation.scores),
        "notes": list(evaluation.notes),
        "provenance": dict(provenance),
    }
    text = json.dumps(content, indent=2)
    path.write_text(text + "\n", encoding="utf-8")


def _query_rows(evaluation: Evaluation) -> Iterator[Sequence[object]]:
    """A header, then what is known of each query."""
    columns = {
        name if part == WHOLE else f"{name}_{part}": values
        for part, content in parts_of(evaluation.scores).items()
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
    for part, content in parts_of(evaluation.scores).items():
        if not content.curve:
            continue
        recall = content.curve["recall"]
        thresholds = content.curve.get(
            "threshold", np.full(len(recall), np.nan)
        )
        columns = recall, content.curve["precision"], thresholds
        for point in evenly_spaced(len(recall), _MAX_POINTS):
            yield part, *(_cell(values[point]) for values in columns)


def evenly_spaced(total: int, count: int) -> np.ndarray:
    """`count` indices below `total`, or all if there are fewer."""
    return np.linspace(0, total - 1, min(count, total)).round().astype(int)


def _cell(value: np.floating) -> str:
    return "" if np.isnan(value) else f"{value:.6g}"


def _write_rows(path: Path, rows: Sequence[Sequence[object]]) -> None:
    # Photo names on Linux are bytes that need not be valid UTF-8.
    with path.open(
        "w", newline="", encoding="utf-8", errors="surrogateescape"
    ) as file:
        csv.writer(file).writerows(rows)
