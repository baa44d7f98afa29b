"""Which validation of a run is the best, from the rows of its history."""

from collections.abc import Mapping, Sequence

# One row of figures per validation, in their order.
History = Sequence[Mapping[str, float]]


def best_first(history: History, key: str) -> list[Mapping[str, float]]:
    """Returns the rows in the order of a score; of equal ones, later first.

    Args:
        history: Rows with "epoch" and the score.
        key: Column of the score; low values of a loss are good, high values
            of anything else.
    """
    sign = 1 if key.endswith("loss") else -1
    return sorted(reversed(history), key=lambda row: sign * row[key])


def epochs_since_best(history: History, key: str) -> float:
    """Returns how long no row has been better than all rows before it.

    Args:
        history, key: See `best_first`.

    Returns:
        Epochs from the first of the best rows to the last row; 0 without rows.
    """
    if not history:
        return 0
    best = best_first(history, key)[0][key]
    first = next(row for row in history if row[key] == best)
    return history[-1]["epoch"] - first["epoch"]
