"""Scores as rows of text, for terminals and pages."""

from collections.abc import Mapping, Sequence

import numpy as np

from agem_tf.evaluation.protocols.protocol import WHOLE, Part, ProtocolScores

_LABELS = {"ap": "AP", "gap": "GAP", "map": "mAP", "mp": "mP"}


def scores_row(name: str, scores: ProtocolScores) -> dict[str, str]:
    """Returns column -> text for one variant, shares in percent.

    With Easy, Medium and Hard, the mean precisions are those of Medium.

    Args:
        name: name of the variant.
        scores: result of a protocol.
    """
    parts = scores.shown_parts()
    row = {"descriptors": name}
    for part, content in parts.items():
        metric = next(iter(content.metrics))
        row[metric_label(metric, part)] = format_metric(content, metric)
    main = parts[scores.main_part()]
    for metric in list(main.metrics)[1:]:
        row[metric_label(metric)] = format_metric(main, metric)
    return row


def scores_dict(scores: ProtocolScores) -> dict[str, dict[str, float | None]]:
    """Returns part -> metric -> value as JSON types, None where undefined."""
    return {
        part: {
            metric: None if value != value else value
            for metric, value in content.metrics.items()
        }
        for part, content in scores.parts().items()
    }


def metric_label(metric: str, part: str = WHOLE) -> str:
    """Returns the printed name of a metric: "map" of "easy" is "mAP easy"."""
    name, at, cutoff = metric.partition("@")
    label = _LABELS.get(name, name.replace("_", " ")) + at + cutoff
    return label if part == WHOLE else f"{label} {part}"


def format_metric(part: Part, metric: str) -> str:
    """Returns a share in percent, a count with three digits, "-" for NaN."""
    value = part.metrics[metric]
    if value != value:
        return "-"
    return f"{100 * value:.1f}" if part.in_percent else f"{value:.3f}"


def format_interval(part: Part) -> str:
    """Returns the 95 % interval of the first metric in percent, or "-"."""
    if part.interval is None:
        return "-"
    low, high = part.interval
    return f"{100 * low:.1f} to {100 * high:.1f}"


def interval_line(scores: ProtocolScores) -> str | None:
    """Returns a line with the interval of the score that stands for all."""
    name = scores.main_part()
    part = scores.shown_parts()[name]
    if part.interval is None:
        return None
    label = metric_label(next(iter(part.metrics)), name)
    values = next(iter(part.per_query.values()))
    queries = int(np.sum(~np.isnan(values)))
    return f"{label}, 95 % over {queries} queries: {format_interval(part)}"


def format_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Aligns rows of equal columns: the first to the left, numbers right."""
    table = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in table
    )
