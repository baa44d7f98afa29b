"""Scores as rows of text, for terminals and reports."""

from collections.abc import Mapping, Sequence

from agem_tf.evaluation.protocols import RevisitedScores


def scores_row(name: str, scores: RevisitedScores) -> dict[str, str]:
    """Returns column -> text of one variant, mAP and mP@k in percent.

    Precisions are those of the Medium protocol.
    """
    row = {"descriptors": name}
    for protocol in ("easy", "medium", "hard"):
        value = getattr(scores, protocol).mean_average_precision
        row[f"mAP {protocol}"] = _percent(value)
    for cutoff, value in scores.medium.mean_precision_at.items():
        row[f"mP@{cutoff}"] = _percent(value)
    return row


def scores_dict(scores: RevisitedScores) -> dict[str, dict[str, float | None]]:
    """Returns the scores as JSON types, in [0, 1]; None where undefined."""
    return {
        protocol: {
            "map": _number(part.mean_average_precision),
            **{
                f"mp@{cutoff}": _number(value)
                for cutoff, value in part.mean_precision_at.items()
            },
        }
        for protocol, part in (
            ("easy", scores.easy),
            ("medium", scores.medium),
            ("hard", scores.hard),
        )
    }


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


def _percent(value: float) -> str:
    return "-" if value != value else f"{100 * value:.1f}"


def _number(value: float) -> float | None:
    return None if value != value else value
