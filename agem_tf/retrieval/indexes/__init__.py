"""Indexes of named descriptors, in a directory or in Milvus.

Exact search is the default. FAISS and Milvus are for collections for which it
is too slow, or that do not fit on one machine.
"""

from agem_tf.errors import UserError
from agem_tf.retrieval.indexes.descriptor_index import DescriptorIndex, Match
from agem_tf.retrieval.indexes.directory_storage import DirectoryStorage
from agem_tf.retrieval.indexes.exact_index import (
    ExactIndex,
    check_all_descriptors,
)
from agem_tf.retrieval.indexes.faiss_index import FaissIndex
from agem_tf.retrieval.indexes.milvus_index import MilvusIndex
from agem_tf.retrieval.indexes.milvus_storage import MilvusStorage
from agem_tf.retrieval.indexes.storage import (
    Draft,
    Origin,
    Storage,
    StoredIndex,
)

__all__ = [
    "DirectoryStorage",
    "Draft",
    "ExactIndex",
    "FaissIndex",
    "DescriptorIndex",
    "Match",
    "MilvusIndex",
    "MilvusStorage",
    "Origin",
    "Storage",
    "StoredIndex",
    "check_all_descriptors",
    "storage_at",
]

_MILVUS = "milvus:"


def storage_at(place: str, model: str | None = None) -> Storage:
    """Returns the storage of an index.

    Args:
        place: a directory, or "milvus:" and an address; see `MilvusStorage`.
        model: directory of the SavedModel, for Milvus only.

    Raises:
        UserError: the address is malformed, or `model` is given for a
            directory, which contains its own.
    """
    if place.startswith(_MILVUS):
        return MilvusStorage(place.removeprefix(_MILVUS), model)
    if model is not None:
        raise UserError(
            f"--model is for an index in Milvus; {place} holds its model."
        )
    return DirectoryStorage(place)
