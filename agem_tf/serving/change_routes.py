"""Routes that change the index: add, remove, synchronize.

Photos that are sent are written into the folder of the index, below `uploads`,
under names made of their content, and then indexed. Each step is atomic: a
killed service leaves the old index or the new one, and at most a file that the
next synchronization adds.
"""

import asyncio
import hashlib
import logging
import os
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple

import fastapi
from fastapi import File, UploadFile

from agem_tf.errors import UserError, sentence_of
from agem_tf.files.atomic_writing import atomic_file
from agem_tf.files.locks import BusyError
from agem_tf.library.index_change import IndexChange
from agem_tf.library.indexing import add_photos, remove_photos
from agem_tf.library.synchronization import sync_photos
from agem_tf.photos.reading import opened
from agem_tf.serving import schemas
from agem_tf.serving.served_index import IndexState
from agem_tf.serving.service import Service
from agem_tf.serving.service_errors import ServiceError, busy

_LOG = logging.getLogger(__name__)
UPLOADS = "uploads"
_SUFFIXES = {"JPEG": "jpg", "MPO": "jpg", "HEIF": "heic", "TIFF": "tif"}
_MOST_STEM = 60
# Names that `_upload` makes.
_SENT = re.compile(rf"{UPLOADS}/[\w-]+-[0-9a-f]{{16}}\.[a-z]+", re.ASCII)


class _Upload(NamedTuple):
    """A photo that was sent.

    Attributes:
        content: bytes of the file.
        name: the name that it has in the folder of the index.
    """

    content: bytes
    name: str


def change_routes(service: Service) -> fastapi.APIRouter:
    """Returns the routes that change the index."""
    router = fastapi.APIRouter(tags=["changes"])

    @router.post("/photos")
    async def add(
        photo: Annotated[list[UploadFile], File()],
    ) -> schemas.ChangeAnswer:
        """Adds photos that are sent; the same photo is added once."""
        state = await _writable(service)
        folder = _own_folder(state)
        uploads, skipped = [], []
        for each in photo:
            content, stem = await each.read(), each.filename or ""
            try:
                uploads.append(await service.run(_upload, content, stem))
            except UserError as error:
                skipped.append({"photo": stem, "reason": str(error)})
        if not uploads:
            raise ServiceError(422, skipped[0]["reason"])
        change = await _changed(
            service,
            lambda: _add_uploads(service, state, folder, uploads),
        )
        names = [upload.name for upload in uploads]
        return _answer(change, list(dict.fromkeys(names)), skipped)

    @router.delete("/photos/{name:path}")
    async def remove(name: str) -> schemas.ChangeAnswer:
        """Removes a photo from the index, and its file if it was sent."""
        state = await _writable(service)
        await service.run(state.check_name, name)
        change = await _changed(service, lambda: _remove(service, state, name))
        return _answer(change, [name])

    @router.post("/sync")
    async def sync() -> schemas.ChangeAnswer:
        """Makes the index hold what its folder holds now."""
        state = await _writable(service)
        extractor = state.model.extractor() if state.model else None
        folder = _folder(state)
        change = await _changed(
            service,
            lambda: sync_photos(service.index.storage(), folder, extractor),
        )
        return _answer(change, [])

    return router


async def _writable(service: Service) -> IndexState:
    if not service.options.writable:
        raise ServiceError(
            403, "The service only reads; start it with --writable."
        )
    return await service.state()


async def _changed(
    service: Service, change: Callable[[], IndexChange]
) -> IndexChange:
    """Changes the index while no other request does, and opens it again.

    A change that has begun is finished, also when its client has left.
    """

    async def finish() -> IndexChange:
        async with service.changing:
            try:
                result = await service.run(change)
            except BusyError as error:
                raise busy(
                    "Another process is changing the index; try again."
                ) from error
            except UserError as error:
                raise ServiceError(409, str(error)) from error
            # FAISS raises the latter.
            except (OSError, RuntimeError) as error:
                reason = sentence_of(error, service.options.index)
                if reason is None:
                    raise
                _LOG.warning("%s", reason)
                raise ServiceError(
                    507,
                    "The service's disk is full, or can't be written; its log "
                    "names the file.",
                ) from error
            await service.run(service.index.refresh)
            return result

    return await asyncio.shield(service.keep(finish()))


def _folder(state: IndexState) -> str:
    if state.folder is None or not os.path.isdir(state.folder):
        raise ServiceError(
            409,
            "The folder of the photos is not there; start the service with "
            "--folder=DIR.",
        )
    return state.folder


def _own_folder(state: IndexState) -> str:
    """Returns the folder of the photos, if the index follows it there."""
    folder, known = _folder(state), state.stored.origin.photos
    if known is None:
        raise ServiceError(
            409,
            "The index was made of descriptors and has no folder.",
        )
    if not (os.path.isdir(known) and os.path.samefile(known, folder)):
        raise ServiceError(
            409, "The folder of the photos has moved; POST /sync first."
        )
    return folder


def _upload(content: bytes, stem: str) -> _Upload:
    """Checks a photo, and makes its name from its content.

    The name that the client gives is for people; no path comes from it.
    """
    with opened(content, "The file that was sent", "send another one") as photo:
        kind = photo.format
    suffix = _SUFFIXES.get(kind, kind.lower())
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", pathlib.PurePath(stem).stem)
    plain = plain.strip("-")[:_MOST_STEM] or "photo"
    digest = hashlib.sha256(content).hexdigest()[:16]
    return _Upload(content, f"{UPLOADS}/{plain}-{digest}.{suffix}")


def _add_uploads(
    service: Service,
    state: IndexState,
    folder: str,
    uploads: Sequence[_Upload],
) -> IndexChange:
    paths = []
    for upload in uploads:
        path = os.path.join(folder, upload.name)
        if path not in paths:
            paths.append(path)
        if not os.path.exists(path):
            with atomic_file(path) as temporary:
                temporary.write_bytes(upload.content)
    return add_photos(
        service.index.storage(),
        folder,
        paths=paths,
        extractor=state.model.extractor() if state.model else None,
    )


def _remove(service: Service, state: IndexState, name: str) -> IndexChange:
    change = remove_photos(service.index.storage(), [name])
    if _SENT.fullmatch(name) and state.folder is not None:
        pathlib.Path(state.folder, name).unlink(missing_ok=True)
    return change


def _answer(
    change: IndexChange,
    names: list[str],
    skipped: Sequence[dict[str, str]] = (),
) -> schemas.ChangeAnswer:
    return schemas.ChangeAnswer(
        names=names,
        added=change.added,
        removed=change.removed,
        updated=change.updated,
        renamed=change.renamed,
        skipped=[*skipped, *change.skipped],
        photos=change.total,
    )
