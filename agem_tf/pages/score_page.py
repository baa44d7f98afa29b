"""The page of an evaluation: scores, curves, and what the queries found."""

import functools
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agem_tf.evaluation.evaluating import Evaluation
from agem_tf.evaluation.parts import parts_of
from agem_tf.evaluation.published_scores import published_scores
from agem_tf.evaluation.tables import (
    format_metric,
    main_part,
    metric_label,
    scores_row,
)
from agem_tf.pages.drawing import figure_to_image
from agem_tf.pages.rank_lists import Photos, query_scores, rank_lists
from agem_tf.pages.report import Picture, Report, Table

# More queries than this stand in the CSV only.
_MAX_ROWS = 200


def make_report(
    evaluation: Evaluation, name: str, photos: Photos = lambda name: None
) -> Report:
    """Puts everything that is known of an evaluation on one page.

    Args:
        evaluation: of any protocol.
        name: what was evaluated, such as the path of the descriptors.
        photos: finds the photo of a name; without photos, names are shown.
    """
    row = scores_row(name, evaluation.scores)
    return Report(
        title=f"Scores: {evaluation.protocol}",
        subtitle=_subtitle(evaluation, name),
        summary=[item for item in row.items() if item[0] != "descriptors"][:6],
        tables=_tables(evaluation, name),
        figures=_figures(evaluation),
        answers=rank_lists(evaluation, photos),
    )


def _subtitle(evaluation: Evaluation, name: str) -> str:
    truth = evaluation.ground_truth
    photos = len(truth.database_names)
    distractors = len(evaluation.database_names) - photos
    more = f" and {distractors:,} distractors" if distractors else ""
    return (
        f"{name}: {len(truth.queries):,} queries among {photos:,} photos{more}."
    )


def _tables(evaluation: Evaluation, name: str) -> list[Table]:
    tables = [
        _parts_table(evaluation),
        _queries_table(evaluation),
        _published_table(evaluation, name),
    ]
    return [table for table in tables if table is not None]


def _parts_table(evaluation: Evaluation) -> Table:
    parts = parts_of(evaluation.scores)
    metrics = list(parts[main_part(parts)].metrics)
    rows = [
        [part, *(format_metric(m, content.metrics[m]) for m in metrics)]
        for part, content in parts.items()
    ]
    columns = ["", *map(metric_label, metrics)]
    return Table("Percent", columns, rows, " ".join(evaluation.notes))


def _published_table(evaluation: Evaluation, name: str) -> Table | None:
    published = published_scores(evaluation)
    if published is None:
        return None
    parts = parts_of(evaluation.scores)
    shown = list(next(iter(published.rows.values())))
    ours = [format_metric("map", parts[part].metrics["map"]) for part in shown]
    rows = [[f"here: {name}", *ours]]
    for method, scores in published.rows.items():
        rows.append([method, *map(_percent, scores.values())])
    columns = ["method", *(metric_label("map", part) for part in shown)]
    return Table(
        f"{published.dataset}, published and here, percent",
        columns,
        rows,
        " ".join(published.caveats),
    )


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{value:.1f}"


def _queries_table(evaluation: Evaluation) -> Table | None:
    parts = parts_of(evaluation.scores)
    columns = {
        metric_label(name, part): values
        for part, content in parts.items()
        for name, values in list(content.per_query.items())[:1]
    }
    names = evaluation.ground_truth.query_names
    if not columns or len(names) > _MAX_ROWS:
        return None
    rows = [
        [name, *(float(values[row]) for values in columns.values())]
        for row, name in enumerate(names)
    ]
    return Table("Queries", ["query", *columns], rows)


def _figures(evaluation: Evaluation) -> list[Picture]:
    parts = parts_of(evaluation.scores)
    curves = {
        name: content.curve for name, content in parts.items() if content.curve
    }
    panels = []
    for name in list(parts[main_part(parts)].per_query)[:1]:
        label = metric_label(name, main_part(parts))
        scores = query_scores(evaluation)
        panels.append(
            functools.partial(_draw_scores, scores=scores, label=label)
        )
    if curves:
        panels.append(functools.partial(_draw_curves, curves=curves))
    # Side by side in one picture, which has the width of the page.
    figure = Figure(figsize=(4.6 * len(panels), 3.4), layout="constrained")
    for axes, draw in zip(_axes(figure, len(panels)), panels, strict=True):
        draw(axes)
    return [Picture(figure_to_image(figure), "Queries and curves")]


def _axes(figure: Figure, count: int) -> list[Axes]:
    axes = figure.subplots(1, count, squeeze=False)[0]
    for each in axes:
        each.set_ylim(0, 1.02)
        each.spines[["top", "right"]].set_visible(False)
        each.grid(alpha=0.25)
    return list(axes)


def _draw_scores(axes: Axes, scores: np.ndarray, label: str) -> None:
    """Bars from the best query to the worst."""
    known = np.sort(scores[~np.isnan(scores)])[::-1]
    edges = np.arange(len(known) + 1) + 0.5
    axes.set(xlabel="queries, best first", ylabel=label)
    axes.stairs(known, edges, fill=True)
    axes.set_xlim(edges[0], max(edges[-1], 1.5))


def _draw_curves(axes: Axes, curves: Mapping[str, Mapping]) -> None:
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01))
    for name, curve in curves.items():
        axes.plot(curve["recall"], curve["precision"], label=name)
    if len(curves) > 1:
        axes.legend(frameon=False)
