"""The index that is served: it is opened again when it has changed.

A request keeps the state that it began with. A change by another process, or by
a request, is seen by the next one; in Milvus, a change by another process is
seen within a second.
"""

import dataclasses
import functools
import hashlib
import io
import logging
import os
import threading
import time
import urllib.parse
import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import PIL.Image

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.errors import UserError
from agem_tf.extraction.photo_files import FileExtractor
from agem_tf.library import photo_models
from agem_tf.library.photo_index import PhotoIndex
from agem_tf.retrieval.indexes import (
    ExactIndex,
    MilvusIndex,
    MilvusStorage,
    Storage,
    StoredIndex,
    storage_at,
)
from agem_tf.retrieval.indexes.photo_metadata import NO_FIELDS, Fields
from agem_tf.serving.batched_model import BatchedModel
from agem_tf.serving.service_errors import ServiceError, not_found

_LOG = logging.getLogger(__name__)
# Milvus, which answers in milliseconds, is not asked by every request.
_ASK_SECONDS = 1.0


def _grey_photo() -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (64, 64), "grey").save(buffer, "PNG")
    return buffer.getvalue()


_WARM_UP = _grey_photo()


@dataclasses.dataclass(frozen=True)
class IndexState:
    """An index as one request sees it.

    Attributes:
        photos: the opened index.
        model: its model; None for an index of descriptors.
        version: changes with the index.
        folder: folder that the names are relative to, if it is known.
    """

    photos: PhotoIndex
    model: BatchedModel | None
    version: str
    folder: str | None

    @property
    def stored(self) -> StoredIndex:
        """The index with its origin."""
        return self.photos.stored

    def __len__(self) -> int:
        return len(self.photos)

    @functools.cached_property
    def positions(self) -> dict[str, int] | None:
        """Position of each name; None in Milvus, which may have too many."""
        if isinstance(self.stored.index, MilvusIndex):
            return None
        names = self.stored.index.names()
        return {name: position for position, name in enumerate(names)}

    @functools.cached_property
    def names(self) -> list[str]:
        """All names, in the order of the index."""
        if self.positions is None:
            return self.stored.index.names()
        return list(self.positions)

    @property
    def keeps_descriptors(self) -> bool:
        """Whether the index is exact, and keeps all descriptors."""
        # To ask for an attribute would read it: a copy, if photos were removed.
        return isinstance(self.stored.index, ExactIndex)

    @property
    def has_attention(self) -> bool:
        """Whether the model has heat maps of where it looks."""
        return self.model is not None and self.model.attention is not None

    def passing(self, where: str = "") -> list[str]:
        """Returns the names of the photos that pass a filter, if any.

        Raises:
            UserError: the filter is malformed.
        """
        return self.photos.photo_names(where) if where else self.names

    def check_name(self, name: str) -> None:
        """Checks that a photo is in the index.

        Raises:
            ServiceError: it is not.
        """
        if self.positions is not None:
            is_known = name in self.positions
        else:
            is_known = bool(self.stored.index.known([name]))
        if not is_known:
            raise not_found(f"The index has no photo {name!r}.")

    def path(self, name: str) -> str:
        """Returns the path of an indexed photo.

        Raises:
            ServiceError: it is not in the index, or its folder is not known.
        """
        self.check_name(name)
        if self.folder is None:
            raise not_found(
                "The index does not know the folder of its photos; start the "
                "service with --folder=DIR."
            )
        return os.path.join(self.folder, name)

    def listed(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Returns the fields of `schemas.ListedPhotoAnswer` of photos."""
        known = self.photos.metadata_of(names)
        return [
            listed_photo(name, known.get(name, NO_FIELDS)) for name in names
        ]

    def descriptors_of(self, names: list[str]) -> np.ndarray:
        """Returns the (names, dimension) descriptors of indexed photos.

        Raises:
            ServiceError: a photo is not in the index, or its descriptor is not
                kept.
        """
        rows = []
        for name in names:
            self.check_name(name)
            row = self.stored.index.descriptor(name)
            if row is None:
                raise ServiceError(
                    409,
                    "This kind of index keeps no descriptors to search by; "
                    "send the photo.",
                )
            rows.append(row)
        return np.stack(rows)

    def descriptor_set(self) -> DescriptorSet:
        """Returns all names and descriptors.

        Raises:
            ServiceError: the index is not exact.
        """
        if not self.keeps_descriptors:
            raise not_found("Only an exact index keeps all descriptors.")
        return DescriptorSet(
            self.names,
            self.stored.index.descriptors,
            self.stored.origin.provenance,
        )


def listed_photo(name: str, metadata: Fields) -> dict[str, Any]:
    """Returns the fields of `schemas.ListedPhotoAnswer` of a photo."""
    quoted = urllib.parse.quote(name, safe="")
    return {
        "name": name,
        "photo": f"/photos/{quoted}",
        "thumbnail": f"/thumbnails/{quoted}",
        "metadata": metadata,
    }


def remembered(function: Callable[..., Any], most: int = 8) -> Callable:
    """Returns a function of a state that remembers its last results.

    Unlike functools.lru_cache, it keeps no state that has been replaced.

    Args:
        function: takes a state and hashable arguments; never returns None.
        most: results per state.
    """
    results: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()

    @functools.wraps(function)
    def recall(state: IndexState, *arguments: Hashable) -> Any:
        known = results.setdefault(state, {})
        found = known.get(arguments)
        if found is None:
            found = function(state, *arguments)
            if len(known) >= most:
                known.clear()
            known[arguments] = found
        return found

    return recall


class ServedIndex:
    """Opens an index, and again when it has changed.

    Args:
        place: directory of the index, or "milvus:" and an address.
        model: directory of the SavedModel, for Milvus only.
        folder: folder of the photos, if it has moved.
        batched: makes a batched model of an extractor.

    Raises:
        UserError: the index or its model can't be opened.
    """

    def __init__(
        self,
        place: str,
        model: str | None = None,
        folder: str | None = None,
        batched: Callable[[FileExtractor], BatchedModel] = BatchedModel,
    ):
        self.place, self._model_path, self._folder = place, model, folder
        self._batched = batched
        self._opening = threading.Lock()
        self._watched = self.storage()
        self._asked = time.monotonic()
        self._stamp = self._watched.stamp()
        self._state = self._open(None, self._stamp)

    def storage(self) -> Storage:
        """Returns the storage, to change the index."""
        return storage_at(self.place, self._model_path)

    @property
    def is_outdated(self) -> bool:
        """Whether the index has changed, or in Milvus may have."""
        if isinstance(self._watched, MilvusStorage):
            return time.monotonic() - self._asked > _ASK_SECONDS
        stamp = self._watched.stamp()
        return stamp is not None and stamp != self._stamp

    @property
    def state(self) -> IndexState:
        """The index as it was opened last."""
        return self._state

    def refresh(self) -> None:
        """Opens the index again if it has changed.

        Where that fails, as on an index that is being replaced, the old one is
        served on.
        """
        # Before the lock, so that other requests do not wait for an answer.
        self._asked = time.monotonic()
        with self._opening:
            stamp = self._watched.stamp()
            if stamp is None or stamp == self._stamp:
                return
            try:
                self._state = self._open(self._state, stamp)
                self._stamp = stamp
            except (UserError, OSError) as error:
                _LOG.warning("%s; serving what was opened before", error)

    def close(self) -> None:
        """Finishes what waits for the model."""
        if self._state.model is not None:
            self._state.model.close()

    def _open(self, old: IndexState | None, stamp: Hashable) -> IndexState:
        stored = self.storage().open()
        model = None
        if stored.origin.model is not None:
            origin = stored.origin
            if old and old.stored.origin.provenance == origin.provenance:
                model = old.model
            else:
                extractor = photo_models.extractor_of(stored)
                # The first run of a graph takes seconds.
                extractor.encoded([_WARM_UP])
                model = self._batched(extractor)
        state = IndexState(
            PhotoIndex(stored),
            model,
            hashlib.sha256(repr(stamp).encode()).hexdigest()[:16],
            self._folder or stored.origin.photos,
        )
        # They take seconds of a million photos; requests would read them in the
        # event loop, or several at a time.
        _ = state.positions, state.photos.metadata_fields
        if old and old.model is not None and old.model is not model:
            old.model.close()
        return state
