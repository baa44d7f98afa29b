"""Recognition: the label of a photo, voted by the labelled photos it resembles.

The k nearest photos that have a label vote with a power of their similarity:

    vote(l) = sum_{i: label l} max(s_i, 0)^p
    confidence(l) = max_{i: label l} s_i * vote(l) / sum_m vote(m)

The label of the highest confidence is the answer. Below a least confidence
there is none. Both factors are needed: the share of the votes is high for a
photo of nothing known, the similarity is high where two landmarks look alike.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from agem_tf.retrieval.indexes import Match

# Chosen by experiments/benchmarks/recognition_confidence.py, with the model of
# an index without --workdir; another model needs its own least confidence.
FIELD = "landmark"
VOTERS = 10
LEAST_CONFIDENCE = 0.3
_POWER = 20


@dataclasses.dataclass(frozen=True)
class Voting:
    """Weighted vote of the nearest labelled photos.

    Attributes:
        field: metadata field with the label of a photo, or a list of labels.
        voters: k, the number of nearest labelled photos that vote.
        least_confidence: confidence below which a photo shows none of the
            labels, in [0, 1].
        power: p, positive; the larger it is, the more the nearest ones count.
    """

    field: str = FIELD
    voters: int = VOTERS
    least_confidence: float = LEAST_CONFIDENCE
    power: float = _POWER

    def filter(self, where: str | None = None) -> str:
        """Returns the metadata filter of the photos that may vote.

        Args:
            where: another filter, which they pass too.
        """
        quote = "'" if '"' in self.field else '"'
        has_label = f"{quote}{self.field}{quote}"
        return has_label if where is None else f"({where}) and {has_label}"


@dataclasses.dataclass(frozen=True)
class Recognition:
    """Label of a photo.

    Attributes:
        label: the label; None if the photo shows none of the known ones.
        confidence: confidence in the best label, in [0, 1], also if too low.
        confidences: confidence by label, of the labels with votes, best first.
    """

    label: str | None
    confidence: float
    confidences: Mapping[str, float]

    def line(self) -> str:
        """Returns label and confidence as a text."""
        if self.label is not None:
            return f"{self.label} ({self.confidence:.3f})"
        if not self.confidences:
            return "none of these"
        best = next(iter(self.confidences))
        return f"none of these (best: {best}, {self.confidence:.3f})"


def vote(matches: Sequence[Match], voting: Voting) -> Recognition:
    """Returns the label that the nearest labelled photos vote for.

    Args:
        matches: photos found for a query, best first, with their metadata.
        voting: how they vote.
    """
    weights: dict[str, float] = {}
    closest: dict[str, float] = {}
    labelled = (match for match in matches if voting.field in match.metadata)
    for match, _ in zip(labelled, range(voting.voters), strict=False):
        similarity = min(max(match.similarity, 0.0), 1.0)
        value = match.metadata[voting.field]
        labels = value if isinstance(value, list) else [value]
        for label in dict.fromkeys(map(str, labels)):
            weights[label] = weights.get(label, 0.0) + similarity**voting.power
            closest[label] = max(closest.get(label, 0.0), similarity)
    total = sum(weights.values())
    confidences = {
        label: closest[label] * weight / total if total else 0.0
        for label, weight in weights.items()
    }
    ranked = dict(sorted(confidences.items(), key=lambda each: -each[1]))
    best, confidence = next(iter(ranked.items()), (None, 0.0))
    if confidence < voting.least_confidence:
        best = None
    return Recognition(best, confidence, ranked)
