"""Descriptors in Milvus: Milvus Lite in a file, a cluster at an address.

The same client and the same calls serve both. Names and the manifest live in
the collection too, so that every machine that reaches it sees the same index.

Reference: https://milvus.io/docs
"""

import contextlib
import functools
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from logging import CRITICAL, getLogger
from types import ModuleType
from typing import Any

import numpy as np

from agem_tf.errors import UserError
from agem_tf.retrieval import nearest
from agem_tf.retrieval.indexes.descriptor_index import DescriptorIndex, Match

# Kinds that both Milvus Lite and a cluster have.
FACTORIES = ("FLAT", "AUTOINDEX", "HNSW", "IVF_FLAT", "IVF_SQ8")
_MANIFEST = "agem_tf"
# Milvus takes 64 MiB a message, and at most so many queries.
_MESSAGE_VALUES = 2**22
_MESSAGE_ROWS = 1000
_LONGEST_NAME = 65_535


class MilvusIndex(DescriptorIndex):
    """A collection whose rows are a number, a name and a descriptor.

    The number is a hash of the name: names of photos hold quotes, which the
    filters of Milvus would have to escape.
    """

    def __init__(self, client: Any, collection: str):
        """Opens a collection that `create` made.

        Raises:
            UserError: it is not one, or Milvus can't be reached.
        """
        with readable_errors():
            properties = client.describe_collection(collection)["properties"]
            # Lite forgets with its process what was loaded.
            client.load_collection(collection)
        try:
            self.manifest = json.loads(properties[_MANIFEST])
            super().__init__(
                self.manifest["factory"], self.manifest["dimension"]
            )
        except (KeyError, ValueError) as error:
            raise UserError(
                f"The Milvus collection {collection} is none of agem_tf's; "
                "name another one."
            ) from error
        self._client, self._collection = client, collection
        self._parameters: dict[str, int] = {}

    @classmethod
    def create(
        cls, client: Any, collection: str, manifest: Mapping[str, Any]
    ) -> "MilvusIndex":
        """Makes an empty collection, in the place of an unfinished one.

        Args:
            client: a pymilvus.MilvusClient.
            collection: its name.
            manifest: kept with it; "factory" and "dimension" are used here.
        """
        fields = import_pymilvus().DataType
        schema = client.create_schema(auto_id=False)
        schema.add_field("id", fields.INT64, is_primary=True)
        schema.add_field("name", fields.VARCHAR, max_length=_LONGEST_NAME)
        schema.add_field(
            "descriptor", fields.FLOAT_VECTOR, dim=manifest["dimension"]
        )
        search = client.prepare_index_params()
        search.add_index(
            "descriptor", index_type=manifest["factory"], metric_type="IP"
        )
        with readable_errors():
            client.drop_collection(collection)
            client.create_collection(
                collection,
                schema=schema,
                index_params=search,
                properties={_MANIFEST: json.dumps(dict(manifest))},
                # What was added is found by the next search.
                consistency_level="Strong",
            )
        return cls(client, collection)

    def __len__(self) -> int:
        with readable_errors():
            rows = self._client.query(
                self._collection, filter="", output_fields=["count(*)"]
            )
        return rows[0]["count(*)"]

    def known(self, names: Collection[str]) -> set[str]:
        found = set()
        for part in _parts(sorted(names), _MESSAGE_ROWS):
            with readable_errors():
                rows = self._client.query(
                    self._collection,
                    ids=[_number(name) for name in part],
                    output_fields=["name"],
                )
            found.update(row["name"] for row in rows)
        return found

    def tune(self, parameters: Mapping[str, int]) -> None:
        self._parameters = dict(parameters)

    def _add(self, names: list[str], descriptors: np.ndarray) -> None:
        size = max(1, min(_MESSAGE_ROWS, _MESSAGE_VALUES // self.dimension))
        for start, block in nearest.row_blocks(descriptors, size):
            rows = [
                {"id": _number(name), "name": name, "descriptor": row}
                for name, row in zip(
                    names[start : start + size], block, strict=True
                )
            ]
            with readable_errors():
                self._client.upsert(self._collection, rows)

    def _remove(self, names: set[str]) -> None:
        for part in _parts(sorted(names), _MESSAGE_ROWS):
            with readable_errors():
                self._client.delete(
                    self._collection, ids=[_number(name) for name in part]
                )

    def _search(self, queries: np.ndarray, top: int) -> list[list[Match]]:
        answers = []
        for part in _parts(queries, _MESSAGE_ROWS):
            with readable_errors():
                answers += self._client.search(
                    self._collection,
                    data=list(part),
                    limit=top,
                    search_params={"params": self._parameters},
                    output_fields=["name"],
                )
        return [
            [Match(hit["entity"]["name"], hit["distance"]) for hit in hits]
            for hits in answers
        ]


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """Turns an error of Milvus into one sentence.

    Raises:
        UserError: Milvus refused, or could not be reached.
    """
    try:
        yield
    except import_pymilvus().MilvusException as error:
        raise UserError(f"Milvus: {error.message or error}.") from error
    except UnicodeEncodeError as error:
        raise UserError(
            f"Milvus takes names in UTF-8 alone; rename {error.object!r}."
        ) from error


@functools.cache
def import_pymilvus() -> ModuleType:
    """Returns pymilvus, told not to log what is raised or of no consequence.

    Raises:
        UserError: it is not installed.
    """
    try:
        import pymilvus
    except ImportError as error:
        raise UserError(
            "Milvus' client is not installed; run: pip install "
            "'pymilvus[milvus_lite]'."
        ) from error
    # Milvus Lite is a server inside this process, so that grpc logs for it.
    for name in ("pymilvus", "milvus_lite", "grpc"):
        getLogger(name).setLevel(CRITICAL)
    return pymilvus


def _number(name: str) -> int:
    """A signed 64-bit number, with which a million names do not collide."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], signed=True)


def _parts(items: Any, size: int) -> Iterator[Any]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
