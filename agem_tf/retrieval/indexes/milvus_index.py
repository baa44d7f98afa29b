"""Index in a collection of Milvus, which changes as a whole.

Milvus has no transactions. So each row has the versions of the index that it
belongs to, and the manifest of the collection names the current one: a change
adds rows of the next version, closes those that are gone, and becomes visible
by one write of the manifest. What a killed change has left is removed by the
next one.

Reference: https://milvus.io/docs
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from agem_tf.retrieval import nearest
from agem_tf.retrieval.indexes.descriptor_index import DescriptorIndex, Match
from agem_tf.retrieval.indexes.metadata_filter import MetadataFilter
from agem_tf.retrieval.indexes.milvus_client import readable_errors
from agem_tf.retrieval.indexes.milvus_filter import (
    metadata_in,
    milvus_expression,
)
from agem_tf.retrieval.indexes.milvus_kinds import (
    MilvusKind,
    check_search_parameters,
)
from agem_tf.retrieval.indexes.milvus_partitions import (
    partition_condition,
    partition_of,
)
from agem_tf.retrieval.indexes.milvus_photos import (
    MilvusSelection,
    photo_entry,
)
from agem_tf.retrieval.indexes.milvus_rows import (
    MANIFEST_PROPERTY,
    OPEN,
    create_collection,
    has_key_of,
    new_row,
)
from agem_tf.retrieval.indexes.photo_metadata import Fields
from agem_tf.retrieval.indexes.photo_states import PhotoState

FORMAT = 3
# A message to Milvus may have 64 MiB and a limited number of queries.
_MESSAGE_VALUES = 2**22
_MESSAGE_ROWS = 1000
# Milvus finds at most so many photos per query.
_MOST_FOUND = 16_384


class MilvusIndex(DescriptorIndex):
    """One version of an index, in a collection of Milvus.

    Args:
        client: a pymilvus.MilvusClient.
        collection: name of the collection.
        manifest: manifest of the collection.
        changes: whether to change the index: the version after that of the
            manifest is read and written.
    """

    def __init__(
        self,
        client: Any,
        collection: str,
        manifest: Mapping[str, Any],
        changes: bool = False,
    ):
        super().__init__(manifest["factory"], manifest["dimension"])
        with readable_errors():
            # Milvus Lite unloads collections when its process ends.
            client.load_collection(collection)
        self.manifest, self.collection = dict(manifest), collection
        self._client, self._changes = client, changes
        self._version = manifest["version"] + changes
        self._visible = f"since <= {self._version} and until > {self._version}"
        self._dtype = np.dtype(manifest["vectors"])
        # Field of the metadata that the index is partitioned by.
        self._partition = manifest.get("partition")
        self._parameters: dict[str, int | str] = {}
        self._count: int | None = None
        # Whether it is a new collection without any row.
        self._is_empty = False
        # Metadata of photos that were removed, in case they are added again.
        self._removed: dict[str, Fields] = {}
        # States that are written with the photos when these are added.
        self._pending: dict[str, PhotoState] = {}

    @classmethod
    def create(
        cls,
        client: Any,
        collection: str,
        kind: MilvusKind,
        manifest: Mapping[str, Any],
    ) -> "MilvusIndex":
        """Creates an empty collection; see `create_collection`."""
        create_collection(client, collection, kind, manifest)
        index = cls(client, collection, manifest, changes=True)
        index._is_empty = True
        return index

    def expect(self, states: dict[str, PhotoState]) -> None:
        """Takes states of photos to come out of `states` as they are added."""
        self._pending = states

    def undo_unfinished(self) -> None:
        """Removes what a killed change has left, and rows of old versions."""
        version = self.manifest["version"]
        unfinished = f"until > {version} and until < {OPEN}"
        for rows in self._batches(unfinished, ["id"]):
            self._upsert([{"id": r["id"], "until": OPEN} for r in rows], True)
        with readable_errors():
            self._client.delete(
                self.collection,
                filter=f"since > {version} or until <= {version}",
            )

    def commit(self, **changes: Any) -> None:
        """Makes the changes visible, with further changes of the manifest."""
        self.manifest |= changes | {"version": self._version}
        with readable_errors():
            self._client.flush(self.collection)
            self._client.alter_collection_properties(
                self.collection,
                properties={MANIFEST_PROPERTY: json.dumps(self.manifest)},
            )

    def __len__(self) -> int:
        if self._count is None or self._changes:
            self._count = self.count()
        return self._count

    def count(self, expression: str | None = None) -> int:
        """Returns the number of photos, or of those that pass an expression."""
        with readable_errors():
            rows = self._client.query(
                self.collection,
                filter=self._visible_and(expression),
                output_fields=["count(*)"],
            )
        return rows[0]["count(*)"]

    def known(
        self, names: Collection[str], expression: str | None = None
    ) -> set[str]:
        if self._is_empty:
            return set()
        wanted = set(names)
        found = self._rows(wanted, ["name"], expression)
        return {row["name"] for row in found} & wanted

    def names(self) -> list[str]:
        return list(self.selected())

    def selected(self, expression: str | None = None) -> Iterator[str]:
        """Yields the names of all photos, or of those that pass."""
        condition = self._visible_and(expression)
        for rows in self._batches(condition, ["name"]):
            for row in rows:
                yield row["name"]

    @property
    def fields(self) -> dict[str, bool]:
        """Fields of the metadata, and whether some photo has a list there."""
        return self.manifest["fields"]

    def passing(self, where: MetadataFilter) -> MilvusSelection:
        lists = {field for field, is_list in self.fields.items() if is_list}
        expression = milvus_expression(where, lists)
        if self._partition is not None:
            partitions = partition_condition(
                where, self._partition, self._partition in lists
            )
            if partitions:
                expression = f"{partitions} and ({expression})"
        return MilvusSelection(self, expression)

    def descriptor(self, name: str) -> np.ndarray | None:
        rows = self._rows([name], ["descriptor"])
        return self._vector(rows[0]["descriptor"]) if rows else None

    def descriptors_of(self, names: Sequence[str]) -> np.ndarray:
        rows = self._rows(set(names), ["name", "descriptor"])
        found = {row["name"]: self._vector(row["descriptor"]) for row in rows}
        return np.array([found[name] for name in names], np.float32)

    def photos(
        self, names: Collection[str] | None = None
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yields names of photos, of all by default, with what is known."""
        fields = ["name", "photo"]
        if names is None:
            parts = self._batches(self._visible, fields)
        else:
            parts = [self._rows(names, fields)]
        for rows in parts:
            for row in rows:
                if names is None or row["name"] in names:
                    yield row["name"], row["photo"]

    def write_photos(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        """Sets the state or the metadata of photos of the index."""
        for names in _parts(sorted(values), _MESSAGE_ROWS):
            older, newer = [], []
            for row in self._rows(names, ["id", "name", "since", "photo"]):
                if row["name"] not in values:
                    continue
                photo = row["photo"] | dict(values[row["name"]])
                stays = self._partition_of(photo) == self._partition_of(
                    row["photo"]
                )
                if stays and row["since"] == self._version:
                    newer.append({"id": row["id"], "photo": photo})
                else:
                    older.append((row["name"], {"photo": photo}))
            if newer:
                self._upsert(newer, True)
            self._replace(dict(older))

    def tune(self, parameters: Mapping[str, int]) -> None:
        self._parameters = check_search_parameters(self.factory, parameters)

    def _add(self, names: list[str], descriptors: np.ndarray) -> None:
        size = self._rows_per_message
        self._is_empty = False
        for start, block in nearest.row_blocks(descriptors, size):
            self._upsert(
                [
                    self._row(name, row, self._photo(name))
                    for name, row in zip(
                        names[start : start + size], block, strict=True
                    )
                ]
            )

    def _remove(self, names: set[str]) -> None:
        rows = self._rows(names, ["id", "name", "since", "photo"])
        for row in rows:
            self._removed[row["name"]] = metadata_in(row["photo"])
        self._close([row for row in rows if row["name"] in names])

    def _rename(self, names: Mapping[str, str]) -> None:
        self._replace({old: {"name": new} for old, new in names.items()})

    def _search(self, queries: np.ndarray, top: int) -> list[list[Match]]:
        return self._find(queries, top, self._visible)

    def _search_among(
        self, queries: np.ndarray, top: int, names: Collection[str]
    ) -> list[list[Match]]:
        if isinstance(names, MilvusSelection):
            condition = self._visible_and(names.expression)
            return self._find(queries, top, condition)
        if len(names) > _MESSAGE_ROWS:
            return super()._search_among(queries, top, names)
        if not names:
            return [[] for _ in queries]
        return self._find(queries, top, self._visible_and(has_key_of(names)))

    def _find(
        self, queries: np.ndarray, top: int, condition: str
    ) -> list[list[Match]]:
        answers = []
        top = min(top, _MOST_FOUND)
        size = max(1, min(_MESSAGE_ROWS, _MESSAGE_VALUES // (16 * top)))
        for part in _parts(queries.astype(self._dtype), size):
            with readable_errors():
                answers += self._client.search(
                    self.collection,
                    data=list(part),
                    filter=condition,
                    limit=top,
                    search_params={"params": self._parameters},
                    output_fields=["name"],
                )
        return [
            [Match(hit["entity"]["name"], hit["distance"]) for hit in hits]
            for hits in answers
        ]

    def _rows(
        self,
        names: Collection[str],
        fields: list[str],
        expression: str | None = None,
    ) -> list[dict[str, Any]]:
        """Returns rows of photos; those of others are possible, never likely.

        Args:
            names: names of the photos; those that are not there are left out.
            fields: fields of the rows.
            expression: what the rows must pass, if anything.
        """
        found = []
        condition = self._visible_and(expression)
        for part in _parts(sorted(names), _MESSAGE_ROWS):
            with readable_errors():
                found += self._client.query(
                    self.collection,
                    filter=f"{condition} and {has_key_of(part)}",
                    output_fields=fields,
                )
        return found

    def _visible_and(self, expression: str | None) -> str:
        if expression is None:
            return self._visible
        return f"{self._visible} and ({expression})"

    def _batches(
        self, condition: str, fields: list[str]
    ) -> Iterator[list[dict[str, Any]]]:
        with readable_errors():
            rows = self._client.query_iterator(
                self.collection,
                batch_size=_MESSAGE_ROWS,
                filter=condition,
                output_fields=fields,
            )
            try:
                while batch := rows.next():
                    yield batch
            finally:
                rows.close()

    def _row(
        self, name: str, descriptor: np.ndarray, photo: Mapping[str, Any]
    ) -> dict[str, Any]:
        return new_row(
            name,
            np.asarray(descriptor, self._dtype),
            photo,
            self._version,
            self._partition_of(photo),
        )

    def _partition_of(self, photo: Mapping[str, Any]) -> int | None:
        """Returns the partition of a photo, None without partitions."""
        if self._partition is None:
            return None
        return partition_of(metadata_in(photo), self._partition)

    def _vector(self, stored: bytes | Sequence[float]) -> np.ndarray:
        """Returns a stored descriptor; half precision comes as bytes."""
        if isinstance(stored, bytes):
            return np.frombuffer(stored, self._dtype).astype(np.float32)
        return np.asarray(stored, np.float32)

    def _photo(self, name: str) -> dict[str, Any]:
        """Returns what is known of a photo that is added."""
        return photo_entry(
            self._pending.pop(name, None), self._removed.get(name, {})
        )

    def _replace(self, changes: Mapping[str, Mapping[str, Any]]) -> None:
        """Replaces rows of photos by rows with other values."""
        for names in _parts(sorted(changes), self._rows_per_message):
            rows = [
                row for row in self._rows(names, ["*"]) if row["name"] in names
            ]
            self._close(rows)
            new = [{**row, **changes[row["name"]]} for row in rows]
            self._upsert(
                [
                    self._row(
                        row["name"],
                        self._vector(row["descriptor"]),
                        row["photo"],
                    )
                    for row in new
                ]
            )

    @property
    def _rows_per_message(self) -> int:
        return max(1, min(_MESSAGE_ROWS, _MESSAGE_VALUES // self.dimension))

    def _close(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Ends rows with the version before this; removes those of this."""
        for part in _parts(rows, _MESSAGE_ROWS):
            older = [row for row in part if row["since"] < self._version]
            newer = [row["id"] for row in part if row["since"] == self._version]
            if older:
                closed = [
                    {"id": row["id"], "until": self._version} for row in older
                ]
                self._upsert(closed, True)
            if newer:
                with readable_errors():
                    self._client.delete(self.collection, ids=newer)

    def _upsert(
        self, rows: list[dict[str, Any]], partial: bool = False
    ) -> None:
        """Writes rows; a message that arrives twice changes nothing."""
        if rows:
            with readable_errors():
                self._client.upsert(
                    self.collection, rows, partial_update=partial
                )


def _parts(items: Any, size: int) -> Iterator[Any]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
