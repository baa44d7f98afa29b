"""What the routes share: the index, threads, and photos that become queries."""

import asyncio
import collections
import concurrent.futures
import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import numpy as np

from agem_tf.errors import UserError
from agem_tf.library.photo_index import rocchio_row
from agem_tf.photos.boxes import Box, check_box
from agem_tf.photos.encoding import encode_photo, sent_photo
from agem_tf.photos.reading import EncodedPhoto, open_metadata, read_photo_file
from agem_tf.photos.screening import PhotoStatus
from agem_tf.photos.upright_rgb import upright_size
from agem_tf.serving.batched_model import BatchedModel
from agem_tf.serving.instruments import Instruments
from agem_tf.serving.photo_details import PhotoMatcher
from agem_tf.serving.served_index import IndexState, ServedIndex
from agem_tf.serving.service_errors import ServiceError
from agem_tf.serving.service_options import ServeOptions

_REMEDY = "send another one"
# Descriptors of photos that were sent: the next page of results, or the same
# photo with another filter, does not run the model again. 5 MB at 1,280 floats.
_MOST_REMEMBERED = 1024


@dataclasses.dataclass(frozen=True)
class QueryPhoto:
    """A photo that is searched for.

    Attributes:
        descriptor: (dimension,) float32.
        size: width and height of the upright photo; None if an indexed one
            can't be read any more.
    """

    descriptor: np.ndarray
    size: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True)
class Query:
    """A query of one or several photos.

    Attributes:
        row: (1, dimension) float32.
        size: width and height of the upright photo, if it is a single one that
            can be read.
    """

    row: np.ndarray
    size: tuple[int, int] | None


class Service:
    """The index, its model and the threads of a service.

    Args:
        options: options of the command.

    Raises:
        UserError: the index or its model can't be opened.
    """

    def __init__(self, options: ServeOptions):
        self.options = options
        self.instruments = Instruments()
        # Decoding and searching release the lock of Python's interpreter.
        self._threads = concurrent.futures.ThreadPoolExecutor(
            (os.cpu_count() or 1) + 2, "photos"
        )
        self._remembered: collections.OrderedDict[tuple, QueryPhoto] = (
            collections.OrderedDict()
        )
        self._kept: set[asyncio.Task] = set()
        self.changing = asyncio.Lock()
        self.index = ServedIndex(
            options.index,
            options.model,
            options.folder,
            functools.partial(
                BatchedModel,
                max_batch_size=options.max_batch_size,
                batch_timeout=options.batch_timeout,
                observe=self.instruments.observe_batch,
            ),
        )
        self.instruments.watch(self.index)
        # Heavy details wait for each other, and not in the way of searches.
        self._detail_thread = concurrent.futures.ThreadPoolExecutor(
            1, "details"
        )
        self.matcher = PhotoMatcher()

    def warm_up(self) -> None:
        """Prepares the matches of photos, while other requests are answered."""
        if self.matcher.is_installed and self.index.state.folder is not None:
            self._detail_thread.submit(self.matcher.warm_up)

    async def run(self, function: Callable, *arguments: Any) -> Any:
        """Runs a function in a thread; cancelling does not wait for it."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, function, *arguments)

    async def run_alone(self, function: Callable, *arguments: Any) -> Any:
        """Runs a function in the one thread of matches and heat maps."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._detail_thread, function, *arguments
        )

    async def state(self) -> IndexState:
        """Returns the index, opened again if it has changed."""
        if self.index.is_outdated:
            await self.run(self.index.refresh)
        return self.index.state

    def keep(self, coroutine: Coroutine) -> asyncio.Task:
        """Starts what finishes also if nobody waits for it."""
        task = asyncio.create_task(coroutine)
        self._kept.add(task)
        task.add_done_callback(self._kept.discard)
        return task

    def close(self) -> None:
        """Finishes what waits."""
        self._threads.shutdown(cancel_futures=True)
        self._detail_thread.shutdown(cancel_futures=True)
        self.index.close()

    async def query(
        self,
        state: IndexState,
        photos: Sequence[bytes],
        names: Sequence[str],
        unlike: Sequence[str],
        box: Box | None,
    ) -> Query:
        """Describes a query.

        Args:
            state: the index.
            photos: files of photos that were sent.
            names: names of indexed photos.
            unlike: names of indexed photos that are not searched for.
            box: part of the photo to search for, if it is a single one.

        Raises:
            ServiceError: there is no photo, one can't be read or is not in the
                index, or the box is not inside it.
        """
        count = len(photos) + len(names)
        if not count:
            raise ServiceError(400, "Send a photo, or the name of one.")
        if box is not None and count > 1:
            raise ServiceError(400, "A box is for a single photo; send one.")
        like = [self.query_photo(state, encoded, box) for encoded in photos]
        for name in names:
            await self.run(state.check_name, name)
            like.append(self._indexed(state, name, box))
        found = await asyncio.gather(*like)
        rows = np.stack([photo.descriptor for photo in found])
        others = None
        if unlike:
            others = await self.run(state.descriptors_of, unlike)
        size = found[0].size if count == 1 else None
        if count == 1 and others is None:
            return Query(rows, size)
        return Query(rocchio_row(rows, others), size)

    async def query_photo(
        self, state: IndexState, encoded: bytes, box: Box | None
    ) -> QueryPhoto:
        """Describes a photo that was sent.

        Raises:
            ServiceError: it can't be read, the box is not inside it, or the
                index has no model.
        """
        if state.model is None:
            raise ServiceError(
                409,
                "The index was made of descriptors and has no model for "
                "photos; send names of indexed ones.",
            )
        digest = hashlib.sha256(encoded).digest()
        # Not the address of the model, which another one may get after it.
        key = digest, box, state.version
        if key in self._remembered:
            self._remembered.move_to_end(key)
            return self._remembered[key]
        described = None
        # Most photos need no conversion, and are decoded by the model alone.
        sent = await self.run(sent_photo, encoded)
        if sent is not None:
            described = await _described(state.model, sent, box)
        if described is None:
            photo = await self.run(_readable, encoded)
            described = await _described(state.model, photo, box)
        if described is None:
            raise ServiceError(422, f"The model refuses the photo; {_REMEDY}.")
        self._remembered[key] = described
        if len(self._remembered) > _MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return described

    async def read(self, state: IndexState, name: str) -> bytes:
        """Returns the bytes of an indexed photo.

        Raises:
            ServiceError: it is not in the index, or its file is gone, or can't
                be read.
        """
        path = await self.run(state.path, name)
        try:
            return await self.run(read_photo_file, path)
        except UserError as error:
            raise ServiceError(
                404, "The file of this photo is gone, or can't be read."
            ) from error

    async def file(
        self, state: IndexState, photos: Sequence[bytes], names: Sequence[str]
    ) -> bytes:
        """Returns the file of the one photo that is sent or named.

        Raises:
            ServiceError: there is not one, or it is not in the index.
        """
        if len(photos) + len(names) != 1:
            raise ServiceError(400, "Send one photo, or the name of one.")
        return photos[0] if photos else await self.read(state, names[0])

    async def _indexed(
        self, state: IndexState, name: str, box: Box | None
    ) -> QueryPhoto:
        row = None
        if box is None:
            row = await self.run(state.stored.index.descriptor, name)
        if row is not None:
            size = await self.run(_size, state, name)
            return QueryPhoto(row, size)
        encoded = await self.read(state, name)
        return await self.query_photo(state, encoded, box)


def _size(state: IndexState, name: str) -> tuple[int, int] | None:
    """Returns the width and height of an indexed photo, if it can be read."""
    try:
        encoded = read_photo_file(state.path(name))
        with open_metadata(encoded, name) as photo:
            return upright_size(photo)
    # Pillow's readers raise many types.
    except Exception:
        return None


async def _described(
    model: BatchedModel, photo: EncodedPhoto, box: Box | None
) -> QueryPhoto | None:
    """Runs the model on a photo; None if it refuses the photo.

    Raises:
        ServiceError: the box is not inside the photo, or too many wait.
    """
    size = photo.width, photo.height
    crop = (0.0, 0.0, 0.0, 0.0)
    if box is not None:
        try:
            check_box(box, size, "the photo", "correct the box")
        except UserError as error:
            raise ServiceError(400, str(error)) from error
        crop = tuple(edge / photo.reduction for edge in box)
    (row,) = await model.describe([photo.encoded], [crop])
    if row.status != PhotoStatus.VALID:
        return None
    return QueryPhoto(row.descriptor, size)


def _readable(encoded: bytes) -> EncodedPhoto:
    try:
        return encode_photo(encoded, "The file that was sent", remedy=_REMEDY)
    except UserError as error:
        raise ServiceError(422, str(error)) from error
