"""Finds photos of one index, or of two, that show the same."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.errors import UserError
from agem_tf.files.provenance import check_same_provenance
from agem_tf.library.answers import Answer
from agem_tf.retrieval import nearest
from agem_tf.retrieval.indexes import Match

# Similarities that are computed at once, 16 MiB, and pairs that are held.
_BLOCK_VALUES = 2**22
_MOST_PAIRS = 2**22


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
    labels = np.arange(len(photos.names))
    pending, size = [], 0
    rows = photos.descriptors
    for first, second, _ in _similar_pairs(rows, rows, min_similarity):
        is_new = first < second
        pending.append((first[is_new], second[is_new]))
        size += int(is_new.sum())
        if size > _MOST_PAIRS:
            labels, pending, size = _connected(labels, pending), [], 0
    labels = _connected(labels, pending)
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
    found: dict[int, list[Match]] = {}
    for pairs in _similar_pairs(
        photos.descriptors, others.descriptors, min_similarity
    ):
        for photo, other, similarity in zip(*pairs, strict=True):
            match = Match(others.names[other], float(similarity))
            found.setdefault(int(photo), []).append(match)
    for matches in found.values():
        matches.sort(key=lambda match: -match.similarity)
    answers = [Answer(photos.names[p], matches) for p, matches in found.items()]
    answers.sort(key=lambda answer: -answer.matches[0].similarity)
    return answers


def _similar_pairs(
    rows: np.ndarray, others: np.ndarray, least: float
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields positions and similarities of pairs, block by block."""
    if not len(rows):
        raise UserError("The index holds no photo.")
    for start, block in nearest.similarity_blocks(rows, others, _BLOCK_VALUES):
        row, column = np.nonzero(block >= least)
        yield row + start, column, block[row, column]


def _connected(
    labels: np.ndarray, pairs: Sequence[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """Returns labels of the groups that some more pairs connect.

    Args:
        labels: (photos,) label of the group of each, from 0 to photos - 1.
        pairs: positions of connected photos.
    """
    if not pairs:
        return labels
    first, second = (np.concatenate(ends) for ends in zip(*pairs, strict=True))
    graph = sparse.coo_array(
        (np.ones(len(first), bool), (labels[first], labels[second])),
        (len(labels), len(labels)),
    )
    return csgraph.connected_components(graph, directed=False)[1][labels]


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
