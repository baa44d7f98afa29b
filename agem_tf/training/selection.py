"""Selection of the best validation of a run, from the rows of its history."""

import math
from collections.abc import Mapping, Sequence

# One row of figures per validation, in their order.
History = Sequence[Mapping[str, float]]


def best_first(history: History, key: str) -> list[Mapping[str, float]]:
    """Returns the rows in the order of a score; of equal ones, later first.

    Args:
        history: Rows with "epoch" and the score.
        key: Column of the score; low values of a loss are good, high values
            of anything else. NaN, of a score that is not defined, is last.
    """
    return sorted(reversed(history), key=lambda row: _cost(row[key], key))


def epochs_since_best(history: History, key: str) -> float:
    """Returns how long no row has been better than all rows before it.

    Args:
        history, key: See `best_first`.

    Returns:
        Epochs from the first of the best rows to the last row; 0 without rows.
    """
    if not history:
        return 0
    first = min(history, key=lambda row: _cost(row[key], key))
    return history[-1]["epoch"] - first["epoch"]


def _cost(score: float, key: str) -> float:
    if math.isnan(score):
        return math.inf
    return score if key.endswith("loss") else -score
