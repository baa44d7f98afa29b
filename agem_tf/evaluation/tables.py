"""Scores as rows of text, for terminals and reports."""

from collections.abc import Mapping, Sequence

from agem_tf.evaluation.parts import WHOLE, parts_of

# The one score that is no share of 1.
_COUNT = "in_top_4"

_LABELS = {"ap": "AP", "gap": "GAP", "map": "mAP", "mp": "mP"}


def scores_row(name: str, scores: object) -> dict[str, str]:
    """Returns column -> text of one variant, shares in percent.

    Of the parts Easy, Medium and Hard, the mean precisions are those of Medium.

    Args:
        name: of the variant.
        scores: what a protocol returned.
    """
    parts = parts_of(scores)
    row = {"descriptors": name}
    for part, content in parts.items():
        metric, value = next(iter(content.metrics.items()))
        row[metric_label(metric, part)] = format_metric(metric, value)
    main = parts[main_part(parts)].metrics
    for metric, value in list(main.items())[1:]:
        row[metric_label(metric)] = format_metric(metric, value)
    return row


def scores_dict(scores: object) -> dict[str, dict[str, float | None]]:
    """Returns part -> metric -> value as JSON types, None where undefined."""
    return {
        part: {
            metric: None if value != value else value
            for metric, value in content.metrics.items()
        }
        for part, content in parts_of(scores).items()
    }


def main_part(parts: Mapping[str, object]) -> str:
    """The part that stands for all: "medium", or the only one."""
    return "medium" if "medium" in parts else next(iter(parts))


def metric_label(metric: str, part: str = WHOLE) -> str:
    """How a metric is printed: "map" of "easy" is "mAP easy"."""
    name, at, cutoff = metric.partition("@")
    label = _LABELS.get(name, name.replace("_", " ")) + at + cutoff
    return label if part == WHOLE else f"{label} {part}"


def format_metric(metric: str, value: float) -> str:
    """A share in percent, a count as it is, and a dash for NaN."""
    if value != value:
        return "-"
    return f"{value:.3f}" if metric == _COUNT else f"{100 * value:.1f}"


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
