"""Indexes of local features: whole photos found by their features.

`CodebookIndex` compares photos word by word (ASMK and its binary form);
`VotingIndex` lets the nearest features of a query vote for their photos, as
DELF's system does; `vlad` makes one descriptor of the features of a photo.
"""

import contextlib
import os

from agem_tf.errors import UserError
from agem_tf.files.manifest import holds_kind
from agem_tf.retrieval.local_indexes.codebook import Codebook
from agem_tf.retrieval.local_indexes.codebook_index import CodebookIndex
from agem_tf.retrieval.local_indexes.feature_index import FeatureIndex
from agem_tf.retrieval.local_indexes.vlad import vlad
from agem_tf.retrieval.local_indexes.voting_index import (
    NEIGHBOURS,
    VotingIndex,
)

__all__ = [
    "NEIGHBOURS",
    "Codebook",
    "CodebookIndex",
    "FeatureIndex",
    "VotingIndex",
    "changed_feature_index",
    "load_feature_index",
    "vlad",
]


def load_feature_index(directory: str | os.PathLike) -> FeatureIndex:
    """Reads an index of local features of either kind.

    Raises:
        UserError: the directory holds no such index, or is damaged.
    """
    return _kind_of(directory).load(directory)


def changed_feature_index(
    directory: str | os.PathLike,
) -> contextlib.AbstractContextManager[FeatureIndex]:
    """Yields the index of a directory, and writes what the block changes.

    Raises:
        UserError: see `load_feature_index`, or another process is changing it.
    """
    return _kind_of(directory).changed(directory)


def _kind_of(directory: str | os.PathLike) -> type[FeatureIndex]:
    for kind in (CodebookIndex, VotingIndex):
        if holds_kind(directory, kind.KIND):
            return kind
    raise UserError(
        f"{directory} holds no index of local features; make one with "
        "agem_tf.aggregate."
    )
