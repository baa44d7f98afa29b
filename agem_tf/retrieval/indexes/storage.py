"""Base class of storages, which open, create and change an index at a place.

A place is a directory or an address such as "milvus:http://host:19530".
Commands use both through the same interface.
"""

import abc
import contextlib
import dataclasses
import pathlib
from collections.abc import Hashable, Mapping
from typing import Any

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.errors import UserError
from agem_tf.files.provenance import check_same_provenance
from agem_tf.retrieval.indexes.descriptor_index import DescriptorIndex
from agem_tf.retrieval.indexes.photo_metadata import PhotoMetadata
from agem_tf.retrieval.indexes.photo_states import PhotoStates


@dataclasses.dataclass(frozen=True)
class Origin:
    """Origin of the descriptors of an index.

    Attributes:
        provenance: provenance of the descriptors; see `files.provenance`.
        photos: folder that the names are relative to, if they are paths.
        model: directory of the SavedModel that extracts descriptors of further
            photos, if there is one.
        whitening: whitening applied by the model, if it is stored with the
            index; it is then applied to descriptors without whitening too.
    """

    provenance: Mapping[str, Any]
    photos: str | None = None
    model: pathlib.Path | None = None
    whitening: LinearWhitening | None = None


@dataclasses.dataclass
class StoredIndex:
    """Opened index with its origin.

    Attributes:
        place: place of the index, for messages.
        index: the index.
        origin: origin of the descriptors.
        states: states of the photo files.
        unreadable: reason, size and time of each photo that was left out
            because it can't be read, by name.
        metadata: metadata of the photos.
    """

    place: str
    index: DescriptorIndex
    origin: Origin
    states: PhotoStates | None = None
    unreadable: dict[str, list] = dataclasses.field(default_factory=dict)
    metadata: PhotoMetadata | None = None

    @property
    def model(self) -> pathlib.Path:
        """Directory of the SavedModel for further photos.

        Raises:
            UserError: there is none.
        """
        if self.origin.model is None:
            raise UserError(
                f"{self.place} was made of descriptors and has no model for "
                "photos; give --descriptors, or index again with --workdir."
            )
        return self.origin.model

    def fitted(self, descriptors: DescriptorSet, path: str) -> DescriptorSet:
        """Returns descriptors comparable with those of the index.

        Args:
            descriptors: descriptors before or after the whitening of the
                index; it is applied if necessary.
            path: path of the descriptors, for messages.

        Raises:
            UserError: another model or other settings produced them.
        """
        whitening = self.origin.whitening
        is_raw = descriptors.provenance.get("whitening") is None
        if whitening is not None and is_raw:
            descriptors = whitening.apply_to(descriptors, self.index.dimension)
        check_same_provenance(
            descriptors.provenance, self.origin.provenance, path, self.place
        )
        return descriptors


class Draft(abc.ABC):
    """New index that is not visible yet.

    Attributes:
        scratch: directory for temporary files.
        model: directory to write the SavedModel to.
        states, unreadable, metadata: see `StoredIndex`.
    """

    scratch: pathlib.Path
    model: pathlib.Path
    states: PhotoStates | None = None
    unreadable: dict[str, list]
    metadata: PhotoMetadata | None = None

    @abc.abstractmethod
    def start(
        self, factory: str, dimension: int, origin: Origin
    ) -> DescriptorIndex:
        """Returns an empty index, to which photos are added.

        Args:
            factory: kind of the index.
            dimension: dimension of the descriptors.
            origin: origin of the descriptors; its `model` is that of this
                draft, or None.

        Raises:
            UserError: the storage does not support this kind of index, or a
                package that it needs is not installed.
        """


class Storage(abc.ABC):
    """Base storage of one index."""

    @property
    @abc.abstractmethod
    def exists(self) -> bool:
        """Whether there is an index."""

    @abc.abstractmethod
    def check(self, factory: str, dimension: int, count: int) -> None:
        """Checks a new index before descriptors are extracted.

        Args:
            factory: kind of the index.
            dimension: dimension of the descriptors.
            count: number of photos.

        Raises:
            UserError: the storage does not support this kind of index, a
                package that it needs is not installed, or it needs more
                photos.
        """

    def partition_field(self, factory: str) -> str | None:
        """Returns the field that a kind of index is partitioned by, if any."""
        return None

    @abc.abstractmethod
    def open(self) -> StoredIndex:
        """Opens the index for searching.

        Raises:
            UserError: there is no index, or it is damaged or altered.
        """

    @abc.abstractmethod
    def stamp(self) -> Hashable:
        """Returns what differs after a change of the index.

        None if there is no index, or its place can't be reached.
        """

    @abc.abstractmethod
    def created(self) -> contextlib.AbstractContextManager[Draft]:
        """Yields a draft that replaces the index if the block succeeds.

        Raises:
            UserError: another process is making the index, or has made it
                since this storage was opened.
        """

    @abc.abstractmethod
    def changed(self) -> contextlib.AbstractContextManager[StoredIndex]:
        """Yields the index; saves its changes if the block succeeds.

        Raises:
            UserError: see `open`; or another process is changing the index.
        """

    @abc.abstractmethod
    def workspace(self) -> contextlib.AbstractContextManager[pathlib.Path]:
        """Yields a directory for the descriptors of photos to come.

        It survives the death of its process, and one process at a time has it.

        Raises:
            UserError: another process has it.
        """
