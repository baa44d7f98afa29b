"""Copies of one shot in a ranking, collapsed into one result."""

from collections.abc import Sequence

import numpy as np

from agem_tf.retrieval.indexes import Match

# Least similarities of two photos of one shot, and of one thing, with the model
# of an index without --workdir; another model needs its own. In the table of
# experiments/benchmarks/copy_thresholds.py no other thing reaches the first. No
# other thing of 20 real photos reaches the second, but rendered buildings of
# one style do.
SAME_SHOT = 0.87
SAME_THING = 0.7


def collapsed(matches: Sequence[Match], rows: np.ndarray) -> list[Match]:
    """Returns the matches that are no copies of a better one.

    Args:
        matches: best first.
        rows: (matches, dimension), their descriptors.

    Returns:
        The others, with the names of their copies.
    """
    kept: list[int] = []
    copies: list[list[str]] = []
    for place, match in enumerate(matches):
        similarities = rows[kept] @ rows[place]
        if len(kept) and similarities.max() >= SAME_SHOT:
            copies[int(similarities.argmax())].append(match.name)
        else:
            kept.append(place)
            copies.append([])
    return [
        matches[place]._replace(copies=tuple(names))
        for place, names in zip(kept, copies, strict=True)
    ]
