"""The page of an evaluation: scores, curves, and what the queries found."""

from agem_tf.evaluation.evaluating import Evaluation
from agem_tf.evaluation.protocols import PROTOCOLS
from agem_tf.evaluation.tables import (
    format_interval,
    format_metric,
    metric_label,
    scores_row,
)
from agem_tf.pages.curves import figure_to_image, score_curves
from agem_tf.pages.photo_sources import Photos, no_photos
from agem_tf.pages.rank_lists import rank_lists
from agem_tf.pages.report import Picture, Report, Table, counted

# The table of queries is left out if there are more; the CSV has them all.
_MAX_ROWS = 200


def scores_page(
    evaluation: Evaluation, name: str, photos: Photos = no_photos
) -> Report:
    """Shows an evaluation on one page.

    Args:
        evaluation: result of any protocol.
        name: what was evaluated, such as the path of the descriptors.
        photos: finds the photo of a name; without photos, names are shown.
    """
    truth = evaluation.ground_truth
    database = counted(len(truth.database_names), "photo")
    if evaluation.num_distractors:
        database += f" and {counted(evaluation.num_distractors, 'distractor')}"
    queries = counted(len(truth.queries), "query", "queries")
    row = scores_row(name, evaluation.scores)
    tables = [
        _parts_table(evaluation),
        _queries_table(evaluation),
        _published_table(evaluation, name),
    ]
    return Report(
        title=f"Scores: {evaluation.protocol}",
        subtitle=f"{name}: {queries} among {database}.",
        summary=[item for item in row.items() if item[0] != "descriptors"][:6],
        tables=[table for table in tables if table is not None],
        figures=[_figure(evaluation)],
        rank_lists=rank_lists(evaluation, photos),
    )


def _parts_table(evaluation: Evaluation) -> Table:
    parts = evaluation.scores.shown_parts()
    main = parts[evaluation.scores.main_part()]
    metrics = list(main.metrics)
    rows = [
        [
            part,
            *(format_metric(content, metric) for metric in metrics),
            format_interval(content),
        ]
        for part, content in parts.items()
    ]
    interval = f"{metric_label(metrics[0])}, 95 % interval"
    columns = ["", *map(metric_label, metrics), interval]
    title = "Percent" if evaluation.scores.in_percent else "Scores"
    return Table(title, columns, rows, " ".join(evaluation.notes))


def _published_table(evaluation: Evaluation, name: str) -> Table | None:
    truth = evaluation.ground_truth
    published = PROTOCOLS[evaluation.protocol].published.get(
        (
            len(truth.queries),
            len(truth.database_names),
            evaluation.num_distractors,
        )
    )
    if published is None:
        return None
    parts = evaluation.scores.parts()
    shown = list(next(iter(published.rows.values())))
    ours = [format_metric(parts[part], "map") for part in shown]
    rows = [[f"here: {name}", *ours]]
    for method, scores in published.rows.items():
        percents = (None if s is None else f"{s:.1f}" for s in scores.values())
        rows.append([method, *percents])
    return Table(
        f"{published.dataset}, published and here, percent",
        ["method", *(metric_label("map", part) for part in shown)],
        rows,
        " ".join(published.caveats),
    )


def _queries_table(evaluation: Evaluation) -> Table | None:
    columns = {
        metric_label(name, part): values
        for part, content in evaluation.scores.shown_parts().items()
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


def _figure(evaluation: Evaluation) -> Picture:
    parts = evaluation.scores.shown_parts()
    main = evaluation.scores.main_part()
    label = "".join(
        metric_label(name, main) for name in list(parts[main].per_query)[:1]
    )
    curves = {name: part.curve for name, part in parts.items() if part.curve}
    figure = score_curves(evaluation.scores.query_scores(), label, curves)
    return Picture(figure_to_image(figure), "Queries and curves")
