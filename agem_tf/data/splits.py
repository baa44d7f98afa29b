"""Which landmarks train, which validate and which test.

Splits are made of whole landmarks: a retrieval score on landmarks that training
has seen says nothing.
"""

import fnmatch
import hashlib

from agem_tf.errors import UserError


def assign(
    landmarks: list[str],
    validation: float | str = 0.1,
    test: float | str = 0.2,
) -> dict[str, list[str]]:
    """Divides landmarks among the splits train, validation and test.

    Args:
        landmarks: distinct names.
        validation, test: a share in [0, 1) of the landmarks, drawn by a hash of
            their names so that adding one moves no other; or a comma-separated
            list of glob patterns.

    Returns:
        Split name -> landmarks, without empty splits.

    Raises:
        UserError: a pattern matches nothing, or the shares leave no landmark.
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
    landmarks: list[str], selection: float | str, total: int, split: str
) -> set[str]:
    if isinstance(selection, str):
        return _matching(landmarks, selection, split)
    if not 0 <= selection < 1:
        raise UserError(
            f"{split} must be a share in [0, 1) or patterns of landmark names. "
            f"Received: {split}={selection}"
        )
    by_hash = sorted(
        landmarks, key=lambda name: hashlib.sha256(name.encode()).digest()
    )
    return set(by_hash[: round(selection * total)])


def _matching(landmarks: list[str], patterns: str, split: str) -> set[str]:
    chosen = set()
    for pattern in filter(None, patterns.split(",")):
        matched = fnmatch.filter(landmarks, pattern)
        if not matched:
            raise UserError(
                f"The {split} pattern {pattern!r} matches no landmark that is "
                "still free; the names are those of the folders."
            )
        chosen.update(matched)
    return chosen
