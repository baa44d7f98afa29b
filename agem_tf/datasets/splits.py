"""Assigning landmarks to the splits train, validation and test.

Splits consist of whole landmarks: a retrieval score on landmarks seen in
training is meaningless.
"""

import fnmatch
import hashlib
from collections.abc import Sequence

from agem_tf.errors import UserError

Selection = float | int | str | Sequence[int | str]


def assign_landmarks(
    landmarks: list[str],
    validation: Selection = 0.1,
    test: Selection = 0.2,
) -> dict[str, list[str]]:
    """Divides landmarks among the splits train, validation and test.

    Args:
        landmarks: Distinct names.
        validation, test: A float is a share in [0, 1] of the landmarks, drawn
            by a hash of their names, so that adding one moves few others. A
            string is a comma-separated list of glob patterns, a sequence a
            list of them. Whole numbers are names, single or in a sequence,
            because folders are often numbered; a single 0 means none.

    Returns:
        The landmarks of each split, without empty splits.

    Raises:
        UserError: A pattern matches nothing, or a share is out of range.
    """
    remaining = sorted(landmarks)
    splits = {}
    for split, selection in (("test", test), ("validation", validation)):
        chosen = _choose(remaining, selection, len(landmarks), split)
        remaining = [name for name in remaining if name not in chosen]
        splits[split] = sorted(chosen)
    splits = {"train": remaining} | splits
    return {split: names for split, names in splits.items() if names}


def _choose(
    landmarks: list[str], selection: Selection, total: int, split: str
) -> set[str]:
    patterns = _patterns(selection)
    if patterns is not None:
        return _matching(landmarks, patterns, split)
    if not isinstance(selection, float) or not 0 <= selection <= 1:
        raise UserError(
            f"{split} must be a share in [0, 1] or patterns of landmark names. "
            f"Received: {split}={selection!r}"
        )
    by_hash = sorted(
        landmarks, key=lambda name: hashlib.sha256(name.encode()).digest()
    )
    return set(by_hash[: round(selection * total)])


def _patterns(selection: Selection) -> list[str] | None:
    """Returns the patterns of a selection by name, None for a share."""
    if isinstance(selection, str):
        return [pattern for pattern in selection.split(",") if pattern]
    if isinstance(selection, list | tuple):
        return [str(name) for name in selection]
    if isinstance(selection, int):
        return [str(selection)] if selection else []
    return None


def _matching(
    landmarks: list[str], patterns: list[str], split: str
) -> set[str]:
    chosen = set()
    for pattern in patterns:
        matched = fnmatch.filter(landmarks, pattern)
        if not matched:
            hint = ""
            if pattern == "1":
                hint = f" For all landmarks, give {split}=1.0."
            raise UserError(
                f"The {split} pattern {pattern!r} matches no landmark that is "
                "still free; the names are those of the folders or of the "
                f"CSV.{hint}"
            )
        chosen.update(matched)
    return chosen
