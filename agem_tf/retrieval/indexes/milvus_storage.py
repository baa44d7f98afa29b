"""Indexes in Milvus: Milvus Lite in a file, or a server at an address.

Both are used through the same client. Descriptors, names, states of the photos,
metadata and the manifest are in a collection, so that every machine that
reaches it sees the same index. An alias is switched to a new collection when it
is complete. Only collections whose manifest is that of the index are changed or
dropped. The SavedModel, which a vector database can't hold, is in a directory
that the manifest names.
"""

import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import re
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator
from typing import Any

from agem_tf.errors import UserError
from agem_tf.files.atomic_writing import resumable_workspace
from agem_tf.files.locations import large_temporary_directory
from agem_tf.files.locks import BusyError, exclusive
from agem_tf.retrieval.indexes.descriptor_index import DescriptorIndex
from agem_tf.retrieval.indexes.milvus_client import (
    TOKEN,
    connect,
    import_pymilvus,
    readable_errors,
    stop_lite,
)
from agem_tf.retrieval.indexes.milvus_index import FORMAT, MilvusIndex
from agem_tf.retrieval.indexes.milvus_kinds import parse_kind, partition_field
from agem_tf.retrieval.indexes.milvus_photos import (
    MilvusMetadata,
    MilvusStates,
)
from agem_tf.retrieval.indexes.milvus_rows import MANIFEST_PROPERTY
from agem_tf.retrieval.indexes.storage import (
    Draft,
    Origin,
    Storage,
    StoredIndex,
)

_DEFAULT_NAME = "agem_tf"
_PREFIX = "agem_tf_"
_DRAFT = re.compile(_PREFIX + "[0-9a-f]{32}")
_LITE = ".db"
_SCHEMES = ("http://", "https://", "tcp://", "unix:")
# Property that a process sets on a server's collection while it changes it.
_CLAIM = "agem_tf_change"
# After so long, the process that made a claim or a draft counts as dead.
_CLAIM_SECONDS, _DRAFT_SECONDS = 3600, 24 * 3600
# A property has a bounded length; further unreadable photos are tried again.
_MOST_UNREADABLE = 1000


class MilvusStorage(Storage):
    """Storage of an index in Milvus.

    Credentials of a server are in the environment variables MILVUS_TOKEN
    ("user:password" or a key) and MILVUS_DATABASE.

    Args:
        address: "photos.db" for Milvus Lite in that file, or the address of a
            server, optionally followed by "#name" to choose one of several
            indexes.
        model: directory of the SavedModel; by default the one in the manifest,
            or for a new index a directory beside the file of Milvus Lite.

    Raises:
        UserError: the address or the name is not one.
    """

    def __init__(self, address: str, model: str | None = None):
        self._uri, _, name = address.partition("#")
        self._name = name or _DEFAULT_NAME
        self._is_lite = not self._uri.startswith(_SCHEMES)
        if self._is_lite and not self._uri.endswith(_LITE):
            raise UserError(
                "Give milvus:FILE.db for Milvus Lite, or milvus:http://HOST:"
                f"19530 for a server. Received: milvus:{self._uri}"
            )
        if not self._is_lite and "@" in self._uri:
            raise UserError(
                "An address is seen by others of the machine; give user and "
                f"password in the environment variable {TOKEN}=USER:PASSWORD."
            )
        if not re.fullmatch(r"[A-Za-z_]\w{0,200}", self._name, re.ASCII):
            raise UserError(
                "The name of an index in Milvus has letters, digits and _, and "
                f"begins with no digit. Received: #{self._name}"
            )
        self._model = model

    @property
    def exists(self) -> bool:
        return self._current() is not None

    def check(self, factory: str, dimension: int, count: int) -> None:
        parse_kind(factory, dimension, self._is_lite)
        self._model_path()

    def partition_field(self, factory: str) -> str | None:
        return partition_field(factory)

    def open(self) -> StoredIndex:
        return self._opened(changes=False)

    def stamp(self) -> tuple[str, int] | None:
        with contextlib.suppress(UserError):
            found = self._found()
            if found is not None:
                collection, manifest = found
                return collection, manifest.get("version", 0)
        return None

    @contextlib.contextmanager
    def created(self) -> Iterator[Draft]:
        with self._alone(), self._nothing_left():
            before = self._current()
            self._drop_leftovers(before)
            directory = large_temporary_directory()
            with tempfile.TemporaryDirectory(dir=directory) as scratch:
                draft = _MilvusDraft(
                    self, pathlib.Path(scratch), self._model_path()
                )
                try:
                    yield draft
                    draft.index.write_photos(draft.states.values())
                    draft.index.write_photos(draft.metadata.values())
                    self._publish(draft, before)
                except BaseException:
                    if draft.index is not None:
                        # The next creation tries again.
                        with contextlib.suppress(UserError):
                            self._drop(draft.index.collection)
                    raise

    @contextlib.contextmanager
    def changed(self) -> Iterator[StoredIndex]:
        if self._is_missing:
            self.open()  # Raises.
        with self._alone():
            stored = self._opened(changes=True)
            with self._claimed(stored.index.collection):
                # Another process may have changed it before it was claimed.
                stored = self._opened(changes=True)
                index = stored.index
                index.undo_unfinished()
                yield stored
                index.write_photos(stored.states.values())
                index.write_photos(stored.metadata.values())
                index.commit(
                    photos=stored.origin.photos,
                    unreadable=_first(stored.unreadable),
                    fields=stored.metadata.fields(),
                )

    def workspace(self) -> contextlib.AbstractContextManager[pathlib.Path]:
        # Beside the model if that is known, for a server on this machine.
        place = self._uri if self._is_lite else self._model
        if place is None:
            place = f"agem_tf.{self._name}"
        return resumable_workspace(place)

    def start(
        self, factory: str, dimension: int, origin: Origin
    ) -> MilvusIndex:
        """Creates the collection of a draft; see `Draft.start`."""
        kind = parse_kind(factory, dimension, self._is_lite)
        manifest = {
            "format": FORMAT,
            "index": self._name,
            "version": 0,
            "created": time.time(),
            "factory": kind.name,
            "parameters": dict(kind.parameters),
            "vectors": kind.vectors,
            "partition": kind.partition,
            "dimension": dimension,
            "photos": origin.photos,
            "provenance": dict(origin.provenance),
            "model": origin.model and str(origin.model.resolve()),
            "unreadable": {},
            "fields": {},
        }
        collection = f"{_PREFIX}{uuid.uuid4().hex}"
        return MilvusIndex.create(self._client, collection, kind, manifest)

    @property
    def _is_missing(self) -> bool:
        """Whether there is no file of Milvus Lite, which opening would make."""
        return self._is_lite and not pathlib.Path(self._uri).exists()

    def _opened(self, changes: bool) -> StoredIndex:
        found = self._found()
        if found is None:
            raise UserError(
                f"There is no index {self._name!r} at milvus:{self._uri}; "
                "create it with python -m agem_tf.index."
            )
        collection, manifest = found
        if manifest.get("format") != FORMAT:
            raise UserError(
                f"The index {self._name!r} at milvus:{self._uri} is of another "
                "version of agem_tf; make it again with --overwrite."
            )
        index = MilvusIndex(self._client, collection, manifest, changes)
        model = self._model or manifest["model"]
        return StoredIndex(
            f"milvus:{self._uri}",
            index,
            Origin(
                manifest["provenance"],
                manifest["photos"],
                pathlib.Path(model) if model else None,
            ),
            MilvusStates(index),
            dict(manifest["unreadable"]),
            MilvusMetadata(index),
        )

    def _publish(self, draft: "_MilvusDraft", before: str | None) -> None:
        """Lets the alias lead to a finished draft, and drops the old one."""
        index = draft.index
        index.commit(
            unreadable=_first(draft.unreadable),
            fields=draft.metadata.fields(),
        )
        if self._current() != before:
            raise UserError(
                f"Another process has made the index {self._name!r} meanwhile; "
                "give the same command again."
            )
        with readable_errors():
            if before is None:
                self._client.create_alias(index.collection, self._name)
            else:
                self._client.alter_alias(index.collection, self._name)
        if before is not None:
            self._drop(before)

    def _drop_leftovers(self, current: str | None) -> None:
        """Drops what killed creations of this index have left."""
        with readable_errors():
            collections = self._client.list_collections()
        for collection in collections:
            if collection == current or not collection.startswith(_PREFIX):
                continue
            manifest = self._manifest(collection) or {}
            age = time.time() - manifest.get("created", time.time())
            is_dead = self._is_lite or age > _DRAFT_SECONDS
            if manifest.get("index") == self._name and is_dead:
                self._drop(collection)

    def _drop(self, collection: str) -> None:
        with readable_errors():
            self._client.drop_collection(collection)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Excludes other processes from changing a file of Milvus Lite."""
        if not self._is_lite:
            yield
            return
        with exclusive(f"{self._uri}.lock", self._busy()):
            yield

    @contextlib.contextmanager
    def _nothing_left(self) -> Iterator[None]:
        """Removes a file of Milvus Lite that a failed creation has made.

        So is the model beside it, but not one that --model names, which other
        indexes may share. What other programs have stored meanwhile stays.
        """
        if not self._is_lite:
            yield
            return
        is_new = self._is_missing
        model = pathlib.Path(f"{self._uri}.model")
        is_new_model = self._model is None and not os.path.lexists(model)
        try:
            yield
        except BaseException:
            if is_new_model:
                shutil.rmtree(model, ignore_errors=True)
            if is_new:
                stop_lite(self._uri, self.__dict__.pop("_client", None))
                _remove_new_database(pathlib.Path(self._uri))
                if self._is_missing:
                    # Still locked: who waits for it makes another one.
                    pathlib.Path(f"{self._uri}.lock").unlink(missing_ok=True)
            raise

    @contextlib.contextmanager
    def _claimed(self, collection: str) -> Iterator[None]:
        """Excludes other processes from changing a collection of a server.

        Milvus can't compare and set: the claim is read again after it was made,
        and of two made within a moment, the later one holds.
        """
        if self._is_lite:
            yield
            return
        other = _json_object(self._properties(collection).get(_CLAIM))
        if other.get("time", 0) > time.time() - _CLAIM_SECONDS and (
            not _is_dead(other)
        ):
            raise self._busy()
        own = {
            "host": socket.gethostname(),
            "process": os.getpid(),
            "time": time.time(),
            "token": uuid.uuid4().hex,
        }
        self._set_claim(collection, own)
        time.sleep(0.1)
        if _json_object(self._properties(collection).get(_CLAIM)) != own:
            raise self._busy()
        try:
            yield
        finally:
            self._set_claim(collection, {})

    def _set_claim(self, collection: str, claim: dict[str, Any]) -> None:
        with readable_errors():
            self._client.alter_collection_properties(
                collection, properties={_CLAIM: json.dumps(claim)}
            )

    def _busy(self) -> BusyError:
        return BusyError(
            f"Another process is writing the index {self._name!r} at "
            f"milvus:{self._uri}; wait for it."
        )

    @functools.cached_property
    def _client(self) -> Any:
        return connect(self._uri, self._is_lite)

    def _current(self) -> str | None:
        """Returns the collection of the alias, if the alias exists."""
        found = self._found()
        return found and found[0]

    def _found(self) -> tuple[str, dict[str, Any]] | None:
        """Returns the collection of the alias and its manifest, if it exists.

        Raises:
            UserError: the name is that of something else.
        """
        # A missing client is reported before the descriptors are extracted.
        import_pymilvus()
        if self._is_missing:
            return None
        with readable_errors():
            if self._name in self._client.list_collections():
                raise self._foreign(self._name)
            if self._name not in self._client.list_aliases()["aliases"]:
                return None
            facts = self._client.describe_alias(self._name)
        collection = facts["collection_name"]
        manifest = self._manifest(collection)
        if manifest is None:
            raise self._foreign(collection)
        return collection, manifest

    def _foreign(self, collection: str) -> UserError:
        return UserError(
            f"The Milvus collection {collection} was not created by agem_tf; "
            f"choose another name: milvus:{self._uri}#NAME."
        )

    def _manifest(self, collection: str) -> dict[str, Any] | None:
        """Returns the manifest of a collection, None if it is of another."""
        text = self._properties(collection).get(MANIFEST_PROPERTY)
        manifest = _json_object(text)
        return manifest if {"factory", "dimension"} <= manifest.keys() else None

    def _properties(self, collection: str) -> dict[str, str]:
        with readable_errors():
            return self._client.describe_collection(collection)["properties"]

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
    storage: MilvusStorage
    scratch: pathlib.Path
    model: pathlib.Path
    index: MilvusIndex | None = None
    unreadable: dict[str, list] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.states = MilvusStates()

    def start(
        self, factory: str, dimension: int, origin: Origin
    ) -> DescriptorIndex:
        self.index = self.storage.start(factory, dimension, origin)
        self.index.expect(self.states.new)
        self.metadata = MilvusMetadata(self.index)
        return self.index


def _first(unreadable: dict[str, list]) -> dict[str, list]:
    return dict(list(unreadable.items())[:_MOST_UNREADABLE])


def _json_object(text: str | None) -> dict[str, Any]:
    """Returns an object in JSON, an empty one for anything else."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _remove_new_database(path: pathlib.Path) -> None:
    """Removes a file of Milvus Lite, a directory in fact, that was just made.

    Collections of drafts go with it, which Milvus can't drop on a full disk.
    """
    lock = path / "LOCK"
    # Another program uses it, or has stored something.
    with contextlib.suppress(OSError, BusyError):
        with exclusive(lock, BusyError(str(path))):
            for collection in path.glob("collections/*"):
                if _DRAFT.fullmatch(collection.name):
                    shutil.rmtree(collection)
            for folder, _, _ in os.walk(path, topdown=False):
                if folder != str(path):
                    os.rmdir(folder)
            lock.unlink()
            path.rmdir()


def _is_dead(claim: dict[str, Any]) -> bool:
    """Whether a process of this machine that made a claim has ended."""
    if claim.get("host") != socket.gethostname():
        return False
    try:
        os.kill(claim["process"], 0)
    except (ProcessLookupError, KeyError, TypeError):
        return True
    except PermissionError:
        return False
    return False
