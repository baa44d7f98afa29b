"""Finds photos of one index, or of two, that show the same."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.errors import UserError
from agem_tf.files.provenance import check_same_provenance
from agem_tf.library.answers import Answer
from agem_tf.retrieval import nearest
from agem_tf.retrieval.indexes import Match

# Neighbours per photo. A group may have more photos, because pairs connect it;
# more exact copies than this may come as several groups.
_NEIGHBOURS = 50
_BLOCK = 2048


def groups_of_copies(
    photos: DescriptorSet, min_similarity: float
) -> list[Answer]:
    """Groups the photos of one set that are connected by similar pairs.

    Args:
        photos: names and descriptors.
        min_similarity: least similarity of a pair.

    Returns:
        Per group its first photo and the others with their similarity to it,
        best first; the largest group first.
    """
    count = len(photos.names)
    first, second, _ = _similar_pairs(
        photos.descriptors, photos.descriptors, min_similarity
    )
    graph = sparse.coo_array(
        (np.ones(len(first), bool), (first, second)), (count, count)
    )
    _, labels = csgraph.connected_components(graph, directed=False)
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    groups = [g for g in np.split(order, starts[1:]) if len(g) > 1]
    groups.sort(key=len, reverse=True)
    return [_as_answer(photos, group) for group in groups]


def copies_between(
    photos: DescriptorSet, others: DescriptorSet, min_similarity: float
) -> list[Answer]:
    """Finds the photos of a set that another set holds too.

    Args:
        photos: names and descriptors.
        others: those that are searched.
        min_similarity: least similarity of a pair.

    Returns:
        Per photo that has copies, these, best first; the photo with the most
        similar one first.

    Raises:
        UserError: another model or other settings made the other descriptors.
    """
    check_same_provenance(
        photos.provenance, others.provenance, "the index", "the other index"
    )
    first, second, similarities = _similar_pairs(
        photos.descriptors, others.descriptors, min_similarity
    )
    found: dict[int, list[Match]] = {}
    for photo, other, similarity in zip(
        first, second, similarities, strict=True
    ):
        match = Match(others.names[other], float(similarity))
        found.setdefault(int(photo), []).append(match)
    answers = [Answer(photos.names[p], matches) for p, matches in found.items()]
    answers.sort(key=lambda answer: -answer.matches[0].similarity)
    return answers


def _similar_pairs(
    rows: np.ndarray, others: np.ndarray, least: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns positions and similarities of pairs, best first per row."""
    parts = []
    for start in range(0, len(rows), _BLOCK):
        queries = np.asarray(rows[start : start + _BLOCK], np.float32)
        indices, values = nearest.nearest(queries, others, _NEIGHBOURS)
        row, column = np.nonzero(values >= least)
        parts.append((row + start, indices[row, column], values[row, column]))
    if not parts:
        raise UserError("The index holds no photo.")
    first, second, values = map(np.concatenate, zip(*parts, strict=True))
    return first, second, values


def _as_answer(photos: DescriptorSet, group: Sequence[int]) -> Answer:
    first, *rest = group
    rows = np.asarray(photos.descriptors[np.array(rest)], np.float32)
    values = rows @ np.asarray(photos.descriptors[first], np.float32)
    order = np.argsort(-values, kind="stable")
    matches = [
        Match(photos.names[rest[position]], float(values[position]))
        for position in order
    ]
    return Answer(photos.names[first], matches)
