"""Rows of an index in Milvus: their fields, keys and versions.

A row has the fields id, key (a hash of the name), name, since and until (the
first version of the index that has the row, and the first that does not), photo
(the state of the file and metadata) and descriptor; in an index with partitions
also the number of its partition. Rows are selected by key, because names may
contain quotes, which would have to be escaped.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from agem_tf.retrieval.indexes.milvus_client import (
    import_pymilvus,
    readable_errors,
)
from agem_tf.retrieval.indexes.milvus_kinds import MilvusKind

# Property of a collection that holds its manifest.
MANIFEST_PROPERTY = "agem_tf"
# Field that Milvus places a row by.
PARTITION = "partition"
# Version at which rows that are not gone end.
OPEN = 2**62
_LONGEST_NAME = 65_535


def create_collection(
    client: Any,
    collection: str,
    kind: MilvusKind,
    manifest: Mapping[str, Any],
) -> None:
    """Creates an empty collection.

    Args:
        client: a pymilvus.MilvusClient.
        collection: name of the collection, which does not exist.
        kind: kind of index.
        manifest: stored with the collection.
    """
    types = import_pymilvus().DataType
    vectors = {
        "float32": types.FLOAT_VECTOR,
        "float16": types.FLOAT16_VECTOR,
    }
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", types.INT64, is_primary=True)
    for name in ("key", "since", "until"):
        schema.add_field(name, types.INT64)
    if kind.partition is not None:
        schema.add_field(PARTITION, types.INT64, is_partition_key=True)
    schema.add_field("name", types.VARCHAR, max_length=_LONGEST_NAME)
    schema.add_field("photo", types.JSON)
    schema.add_field(
        "descriptor", vectors[kind.vectors], dim=manifest["dimension"]
    )
    search = client.prepare_index_params()
    search.add_index(
        "descriptor",
        index_type=kind.name,
        metric_type="IP",
        # Milvus Lite ignores parameters that are not in this object.
        params={"params": dict(kind.parameters)},
    )
    search.add_index("key", index_type="INVERTED")
    with readable_errors():
        client.create_collection(
            collection,
            schema=schema,
            index_params=search,
            properties={MANIFEST_PROPERTY: json.dumps(dict(manifest))},
            # A search finds what was added immediately before.
            consistency_level="Strong",
        )


def new_row(
    name: str,
    descriptor: np.ndarray,
    photo: Mapping[str, Any],
    version: int,
    partition: int | None,
) -> dict[str, Any]:
    """Returns a row that is part of an index from some version.

    Args:
        name: name of the photo.
        descriptor: in the type of the collection.
        photo: what is known of the photo.
        version: first version that has the row.
        partition: number of the partition, None without partitions.
    """
    row = {
        "id": text_number(f"{name}\0{version}"),
        "key": text_number(name),
        "since": version,
        "until": OPEN,
        "name": name,
        "photo": dict(photo),
        "descriptor": descriptor,
    }
    return row if partition is None else row | {PARTITION: partition}


def has_key_of(names: Collection[str]) -> str:
    """Returns the condition for rows of some photos."""
    keys = ", ".join(str(text_number(name)) for name in names)
    return f"key in [{keys}]"


def text_number(text: str) -> int:
    """Returns a signed 64-bit hash; those of a million texts differ."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], signed=True)
