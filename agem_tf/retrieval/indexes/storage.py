"""Where an index lies, and what it knows of itself.

Commands are given a place, "faces" or "milvus:http://host:19530"; what they do
with the index there is the same for both.
"""

import abc
import contextlib
import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.errors import UserError
from agem_tf.files.provenance import check_same_provenance
from agem_tf.retrieval.indexes.descriptor_index import DescriptorIndex


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where the descriptors of an index come from.

    Attributes:
        provenance: how they were made, see `files.provenance`.
        photos: folder that the names are relative to, if they are paths.
        model: SavedModel that describes further photos, if there is one.
        whitening: that the model has built in, if one is kept; descriptors
            from before it fit too.
    """

    provenance: Mapping[str, Any]
    photos: str | None = None
    model: pathlib.Path | None = None
    whitening: LinearWhitening | None = None


@dataclasses.dataclass(frozen=True)
class StoredIndex:
    """An index with its origin.

    Attributes:
        place: what the user calls it.
        index: searches, and takes changes.
        origin: see `Origin`.
        scratch: while it is changed, directory for whatever must outlive
            memory; removed later.
    """

    place: str
    index: DescriptorIndex
    origin: Origin
    scratch: pathlib.Path | None = None

    @property
    def model(self) -> pathlib.Path:
        """The SavedModel that describes further photos.

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
        """Returns descriptors that may be compared with the index's.

        Args:
            descriptors: as extracted, or whitened as the index's are.
            path: what the user calls them.

        Raises:
            UserError: they were made by another model or other settings.
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
    """A new index before anybody sees it.

    Attributes:
        scratch: directory for whatever must outlive memory, removed later.
        model: where the SavedModel is to be put.
    """

    scratch: pathlib.Path
    model: pathlib.Path

    @abc.abstractmethod
    def start(
        self, factory: str, dimension: int, origin: Origin
    ) -> DescriptorIndex:
        """Returns an empty index to fill.

        Args:
            factory: its kind.
            dimension: of the descriptors.
            origin: of the descriptors; `model` is the draft's or None.

        Raises:
            UserError: the kind is unknown here, or what it needs is missing.
        """


class Storage(abc.ABC):
    """A place for an index."""

    @property
    @abc.abstractmethod
    def exists(self) -> bool:
        """Whether there is an index."""

    @abc.abstractmethod
    def check(self, factory: str, dimension: int, count: int) -> None:
        """Refuses beforehand what a new index would refuse at its end.

        Args:
            factory: kind of the index.
            dimension: of the descriptors.
            count: of the photos.

        Raises:
            UserError: the kind is unknown here, what it needs is missing, or
                it needs more photos.
        """

    @abc.abstractmethod
    def open(self) -> StoredIndex:
        """Opens the index to search it.

        Raises:
            UserError: there is none, or it is damaged or altered.
        """

    @abc.abstractmethod
    def created(self) -> contextlib.AbstractContextManager[Draft]:
        """Yields a draft, which replaces the index if the block succeeds."""

    @abc.abstractmethod
    def changed(self) -> contextlib.AbstractContextManager[StoredIndex]:
        """Yields the index to change, and keeps the changes if all is well.

        Raises:
            UserError: as `open`, or another process is changing it.
        """
