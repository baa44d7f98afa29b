"""An index in Milvus, behind an alias that is turned to it when it is ready.

Descriptors, names and manifest lie in the collection; the SavedModel, which a
vector database can't hold, lies in a directory that the manifest names.
"""

import contextlib
import dataclasses
import functools
import pathlib
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from agem_tf.errors import UserError
from agem_tf.retrieval.indexes import exact_index
from agem_tf.retrieval.indexes.descriptor_index import DescriptorIndex
from agem_tf.retrieval.indexes.milvus_index import (
    FACTORIES,
    MilvusIndex,
    import_pymilvus,
    readable_errors,
)
from agem_tf.retrieval.indexes.storage import (
    Draft,
    Origin,
    Storage,
    StoredIndex,
)

_DEFAULT_NAME = "agem_tf"
_LITE = ".db"
# Milvus Lite takes pymilvus' ping, one in ten seconds, for abuse: it hangs up,
# and prints so, while photos are being described.
_LITE_OPTIONS = {"grpc.keepalive_time_ms": 600_000}
_SCHEMES = ("http://", "https://", "tcp://", "unix:")


class MilvusStorage(Storage):
    """An index at a Milvus address.

    Args:
        address: "photos.db" for Milvus Lite in that file, or the address of a
            server; "#name" behind it chooses among several indexes.
        model: directory of the SavedModel; by default beside the file of
            Milvus Lite, or where the manifest says.
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
                f"There is no index {self._name!r} at milvus:{self._uri}; make "
                "it with python -m agem_tf.index."
            )
        index = MilvusIndex(self._client, collection)
        return StoredIndex(
            f"milvus:{self._uri}", index, self._origin(index.manifest)
        )

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
        self._turn_alias(current, spare)

    @contextlib.contextmanager
    def changed(self) -> Iterator[StoredIndex]:
        with tempfile.TemporaryDirectory() as scratch:
            stored = self.open()
            yield dataclasses.replace(stored, scratch=pathlib.Path(scratch))

    @functools.cached_property
    def _client(self) -> Any:
        options = _LITE_OPTIONS if self._is_lite else {}
        with readable_errors():
            return import_pymilvus().MilvusClient(
                self._uri, grpc_options=options
            )

    def _collection(self) -> str | None:
        """The collection that the alias stands for, if there is an alias."""
        with readable_errors():
            if self._name not in self._client.list_aliases()["aliases"]:
                return None
            facts = self._client.describe_alias(self._name)
        return facts["collection_name"]

    def _turn_alias(self, before: str | None, after: str) -> None:
        with readable_errors():
            self._client.flush(after)
            if before is None:
                self._client.create_alias(after, self._name)
                return
            self._client.alter_alias(after, self._name)
            self._client.drop_collection(before)

    def _model_path(self) -> pathlib.Path:
        if self._model is not None:
            return pathlib.Path(self._model)
        if not self._is_lite:
            raise UserError(
                "Milvus holds descriptors, not models: give --model=DIR, where "
                "the model that describes photos is kept."
            )
        return pathlib.Path(f"{self._uri}.model")

    def _origin(self, manifest: Mapping[str, Any]) -> Origin:
        model = self._model or manifest["model"]
        return Origin(
            manifest["provenance"],
            manifest["photos"],
            pathlib.Path(model) if model else None,
        )


@dataclasses.dataclass
class _MilvusDraft(Draft):
    client: Any
    collection: str
    scratch: pathlib.Path
    model: pathlib.Path

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
    factory = "FLAT" if factory == exact_index.FACTORY else factory
    if factory not in FACTORIES:
        raise UserError(
            f"In Milvus --factory is one of exact, {', '.join(FACTORIES)}. "
            f"Received: --factory={factory}"
        )
    return factory
