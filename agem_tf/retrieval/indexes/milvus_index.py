"""Indexes in Milvus: Milvus Lite in a file, or a server at an address.

Both are used through the same client. Descriptors, names and manifest are in a
collection, so that every machine that reaches it sees the same index. An alias
is switched to a new collection when it is complete. The SavedModel, which a
vector database can't hold, is in a directory that the manifest names.

Reference: https://milvus.io/docs
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import pathlib
import tempfile
from collections.abc import Collection, Iterator, Mapping
from logging import CRITICAL, getLogger
from types import ModuleType
from typing import Any

import numpy as np

from agem_tf.errors import UserError
from agem_tf.files.atomic_writing import resumable_workspace
from agem_tf.retrieval import nearest
from agem_tf.retrieval.indexes import exact_index
from agem_tf.retrieval.indexes.descriptor_index import DescriptorIndex, Match
from agem_tf.retrieval.indexes.storage import (
    Draft,
    Origin,
    Storage,
    StoredIndex,
)

# Kinds supported by both Milvus Lite and a server.
FACTORIES = ("FLAT", "AUTOINDEX", "HNSW", "IVF_FLAT", "IVF_SQ8")
_MANIFEST = "agem_tf"
# A message to Milvus may have 64 MiB and a limited number of queries.
_MESSAGE_VALUES = 2**22
_MESSAGE_ROWS = 1000
_LONGEST_NAME = 65_535
_DEFAULT_NAME = "agem_tf"
_LITE = ".db"
# Milvus Lite rejects pymilvus' default of one ping per ten seconds as abuse: it
# closes the connection, and prints a warning, while descriptors are extracted.
_LITE_OPTIONS = {"grpc.keepalive_time_ms": 600_000}
_SCHEMES = ("http://", "https://", "tcp://", "unix:")


class MilvusIndex(DescriptorIndex):
    """Index in a collection with the fields id, name and descriptor.

    The id is a hash of the name. Rows are selected by id because names may
    contain quotes, which would have to be escaped in filters of Milvus.
    """

    def __init__(self, client: Any, collection: str):
        """Opens a collection created by `create`.

        Raises:
            UserError: another program created it, or Milvus can't be reached.
        """
        with _readable_errors():
            properties = client.describe_collection(collection)["properties"]
            # Milvus Lite unloads collections when its process ends.
            client.load_collection(collection)
        try:
            self.manifest = json.loads(properties[_MANIFEST])
            super().__init__(
                self.manifest["factory"], self.manifest["dimension"]
            )
        except (KeyError, ValueError) as error:
            raise UserError(
                f"The Milvus collection {collection} was not created by "
                "agem_tf; choose another name."
            ) from error
        self._client, self._collection = client, collection
        self._parameters: dict[str, int] = {}

    @classmethod
    def create(
        cls, client: Any, collection: str, manifest: Mapping[str, Any]
    ) -> "MilvusIndex":
        """Creates an empty collection, replacing an unfinished one.

        Args:
            client: a pymilvus.MilvusClient.
            collection: name of the collection.
            manifest: stored with the collection; its "factory" and
                "dimension" determine the kind of index.
        """
        fields = _import_pymilvus().DataType
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
        with _readable_errors():
            client.drop_collection(collection)
            client.create_collection(
                collection,
                schema=schema,
                index_params=search,
                properties={_MANIFEST: json.dumps(dict(manifest))},
                # A search finds what was added immediately before.
                consistency_level="Strong",
            )
        return cls(client, collection)

    def __len__(self) -> int:
        with _readable_errors():
            rows = self._client.query(
                self._collection, filter="", output_fields=["count(*)"]
            )
        return rows[0]["count(*)"]

    def known(self, names: Collection[str]) -> set[str]:
        found = set()
        for part in _parts(sorted(names), _MESSAGE_ROWS):
            with _readable_errors():
                rows = self._client.query(
                    self._collection,
                    ids=[_number(name) for name in part],
                    output_fields=["name"],
                )
            found.update(row["name"] for row in rows)
        return found

    def names(self) -> list[str]:
        raise UserError(
            "An index in Milvus does not list its photos; give their names, "
            "or use an index in a directory."
        )

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
            with _readable_errors():
                self._client.upsert(self._collection, rows)

    def _remove(self, names: set[str]) -> None:
        for part in _parts(sorted(names), _MESSAGE_ROWS):
            with _readable_errors():
                self._client.delete(
                    self._collection, ids=[_number(name) for name in part]
                )

    def _rename(self, names: Mapping[str, str]) -> None:
        raise UserError(
            "An index in Milvus can't rename photos; remove and add them."
        )

    def _search(self, queries: np.ndarray, top: int) -> list[list[Match]]:
        answers = []
        for part in _parts(queries, _MESSAGE_ROWS):
            with _readable_errors():
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
def _readable_errors() -> Iterator[None]:
    """Turns an error of Milvus into one sentence.

    Raises:
        UserError: Milvus reports an error, or can't be reached.
    """
    try:
        yield
    except _import_pymilvus().MilvusException as error:
        raise UserError(f"Milvus: {error.message or error}.") from error
    except UnicodeEncodeError as error:
        raise UserError(
            f"Milvus requires names in UTF-8; rename {error.object!r}."
        ) from error


@functools.cache
def _import_pymilvus() -> ModuleType:
    """Imports pymilvus and silences its logs, which repeat what is raised.

    Raises:
        UserError: it can't be imported.
    """
    try:
        import pymilvus
    except ImportError as error:
        raise UserError(
            f"The client of Milvus can't be imported ({error}); run pip "
            "install 'pymilvus[milvus_lite]'."
        ) from error
    # grpc logs in this process for Milvus Lite, which is a server inside it.
    for name in ("pymilvus", "milvus_lite", "grpc"):
        getLogger(name).setLevel(CRITICAL)
    return pymilvus


def _number(name: str) -> int:
    """Returns a signed 64-bit hash; a million names do not collide."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], signed=True)


def _parts(items: Any, size: int) -> Iterator[Any]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


class MilvusStorage(Storage):
    """Storage of an index in Milvus.

    Args:
        address: "photos.db" for Milvus Lite in that file, or the address of a
            server, optionally followed by "#name" to choose one of several
            indexes.
        model: directory of the SavedModel; by default the one in the manifest,
            or for a new index a directory beside the file of Milvus Lite.
    """

    def __init__(self, address: str, model: str | None = None):
        self._uri, _, name = address.partition("#")
        self._name = name or _DEFAULT_NAME
        is_lite = not self._uri.startswith(_SCHEMES)
        if is_lite and not self._uri.endswith(_LITE):
            raise UserError(
                "Give milvus:FILE.db for Milvus Lite, or milvus:http://HOST:"
                f"19530 for a server. Received: milvus:{self._uri}"
            )
        self._is_lite = is_lite
        self._model = model

    @property
    def exists(self) -> bool:
        return self._collection() is not None

    def check(self, factory: str, dimension: int, count: int) -> None:
        _milvus_factory(factory)
        self._model_path()

    def open(self) -> StoredIndex:
        missing = self._is_lite and not pathlib.Path(self._uri).exists()
        collection = None if missing else self._collection()
        if collection is None:
            raise UserError(
                f"There is no index {self._name!r} at milvus:{self._uri}; "
                "create it with python -m agem_tf.index."
            )
        index = MilvusIndex(self._client, collection)
        model = self._model or index.manifest["model"]
        origin = Origin(
            index.manifest["provenance"],
            index.manifest["photos"],
            pathlib.Path(model) if model else None,
        )
        return StoredIndex(f"milvus:{self._uri}", index, origin)

    @contextlib.contextmanager
    def created(self) -> Iterator[Draft]:
        current = self._collection()
        spare = (
            f"{self._name}_b"
            if current == f"{self._name}_a"
            else f"{self._name}_a"
        )
        with tempfile.TemporaryDirectory() as scratch:
            draft = _MilvusDraft(
                self._client, spare, pathlib.Path(scratch), self._model_path()
            )
            yield draft
        with _readable_errors():
            self._client.flush(spare)
            if current is None:
                self._client.create_alias(spare, self._name)
            else:
                self._client.alter_alias(spare, self._name)
                self._client.drop_collection(current)

    @contextlib.contextmanager
    def changed(self) -> Iterator[StoredIndex]:
        yield self.open()

    def workspace(self) -> contextlib.AbstractContextManager[pathlib.Path]:
        # Beside the model if that is known, for a server on this machine.
        place = self._uri if self._is_lite else self._model
        if place is None:
            place = f"agem_tf.{self._name}"
        return resumable_workspace(place)

    @functools.cached_property
    def _client(self) -> Any:
        options = _LITE_OPTIONS if self._is_lite else {}
        with _readable_errors():
            return _import_pymilvus().MilvusClient(
                self._uri, grpc_options=options
            )

    def _collection(self) -> str | None:
        """Returns the collection of the alias, if the alias exists."""
        with _readable_errors():
            if self._name not in self._client.list_aliases()["aliases"]:
                return None
            facts = self._client.describe_alias(self._name)
        return facts["collection_name"]

    def _model_path(self) -> pathlib.Path:
        """Returns the directory for the SavedModel of a new index."""
        if self._model is not None:
            return pathlib.Path(self._model)
        if not self._is_lite:
            raise UserError(
                "Milvus stores descriptors, not models: give --model=DIR, the "
                "directory for the model that extracts them."
            )
        return pathlib.Path(f"{self._uri}.model")


@dataclasses.dataclass
class _MilvusDraft(Draft):
    client: Any
    collection: str
    scratch: pathlib.Path
    model: pathlib.Path
    unreadable: dict[str, list] = dataclasses.field(default_factory=dict)

    def start(
        self, factory: str, dimension: int, origin: Origin
    ) -> DescriptorIndex:
        manifest = {
            "factory": _milvus_factory(factory),
            "dimension": dimension,
            "photos": origin.photos,
            "provenance": dict(origin.provenance),
            "model": origin.model and str(origin.model.resolve()),
        }
        return MilvusIndex.create(self.client, self.collection, manifest)


def _milvus_factory(factory: str) -> str:
    """Translates --factory into an index type of Milvus."""
    factory = "FLAT" if factory == exact_index.FACTORY else factory
    if factory not in FACTORIES:
        raise UserError(
            f"In Milvus --factory is one of exact, {', '.join(FACTORIES)}. "
            f"Received: --factory={factory}"
        )
    return factory
