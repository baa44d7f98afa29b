"""Routes of a person's library: search, photos, thumbnails."""

import urllib.parse
from typing import Annotated, Any, NamedTuple

import fastapi
import numpy as np
from fastapi import File, Form, Query, Request, Response, UploadFile

from agem_tf.photos.boxes import Box
from agem_tf.retrieval.indexes import Match
from agem_tf.serving import schemas
from agem_tf.serving.photo_images import JpegCache, JpegFile
from agem_tf.serving.served_index import IndexState
from agem_tf.serving.service import Service
from agem_tf.serving.service_errors import ServiceError

_PHOTO_SIDE = 2048
# Deeper pages of a ranking are of no use, and cost a sort of the whole index.
_MOST_RANKED = 10_000
_JPEG = {200: {"content": {"image/jpeg": {}}}}
_CACHED = "private, max-age=3600"


def library_routes(service: Service) -> fastapi.APIRouter:
    """Returns the routes that read the index."""
    router = fastapi.APIRouter(tags=["library"])
    images = JpegCache()

    @router.get("/library")
    async def library() -> schemas.LibraryAnswer:
        """Describes the index."""
        state = await service.state()
        made = state.stored.origin.provenance
        return schemas.LibraryAnswer(
            photos=len(state),
            version=state.version,
            model=str(made.get("model", "")),
            writable=service.options.writable,
            features=schemas.Features(
                attention=service.attention is not None,
                matches=service.matcher.is_installed,
                duplicates=state.keeps_descriptors,
                map=False,
                collapse=state.keeps_descriptors,
                metadata=state.photos.metadata_fields,
                rerank=[],
            ),
        )

    @router.post("/search")
    async def search(
        photo: Annotated[list[UploadFile], File()] = (),
        name: Annotated[list[str], Form()] = (),
        unlike: Annotated[list[str], Form()] = (),
        box: Annotated[str, Form()] = "",
        where: Annotated[str, Form()] = "",
        top: Annotated[int, Form(ge=1, le=1000)] = 60,
        offset: Annotated[int, Form(ge=0, le=_MOST_RANKED)] = 0,
        min_similarity: Annotated[float, Form(ge=-1, le=1)] = -1,
        collapse: Annotated[bool, Form()] = False,
        rerank: Annotated[str, Form()] = "",
    ) -> schemas.SearchAnswer:
        """Searches by photos, sent or indexed; leaves out indexed examples."""
        state = await service.state()
        if rerank:
            raise ServiceError(400, "rerank is not supported; leave it out.")
        parsed = parse_box(box)
        query = await service.query(
            state, [await each.read() for each in photo], name, unlike, parsed
        )
        ranked = await service.run(
            _ranked,
            state,
            query.row,
            _Wanted(
                offset + top,
                min_similarity,
                where,
                collapse,
                {*name, *unlike},
            ),
        )
        shown = ranked.found[offset : offset + top]
        return schemas.SearchAnswer(
            query=schemas.QueryAnswer(
                width=query.size[0] if query.size else None,
                height=query.size[1] if query.size else None,
                box=list(parsed) if parsed else None,
            ),
            results=[
                schemas.ResultAnswer(
                    rank=rank,
                    similarity=match.similarity,
                    copies=list(match.copies),
                    **listed(state, match.name),
                )
                for rank, match in enumerate(shown, offset + 1)
            ],
            total=ranked.total,
            sure=None,
            left_out=ranked.left_out,
        )

    @router.get("/photos")
    async def photos(
        offset: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 60,
        where: str = "",
    ) -> schemas.PhotosAnswer:
        """Lists the photos of the index."""
        state = await service.state()
        names = await service.run(state.passing, where)
        return schemas.PhotosAnswer(
            photos=[
                listed(state, each) for each in names[offset : offset + limit]
            ],
            total=len(names),
        )

    @router.get("/photos/{name:path}", response_model=None, responses=_JPEG)
    async def photo(name: str, request: Request) -> Response:
        """Returns a photo, upright, at most 2048 pixels a side, as JPEG."""
        return await image(name, _PHOTO_SIDE, request)

    @router.get("/thumbnails/{name:path}", response_model=None, responses=_JPEG)
    async def thumbnail(
        name: str,
        request: Request,
        side: Annotated[int, Query(ge=128, le=640)] = 320,
    ) -> Response:
        """Returns a photo as a small JPEG."""
        return await image(name, side, request)

    async def image(name: str, side: int, request: Request) -> Response:
        state = await service.state()
        path = state.path(name)
        tag = f'"{await service.run(images.tag, path, side)}"'
        headers = {"ETag": tag, "Cache-Control": _CACHED}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        file: JpegFile = await service.run(images.jpeg, path, side)
        return JpegResponse(file.content, headers=headers)

    return router


class JpegResponse(Response):
    """A JPEG file."""

    media_type = "image/jpeg"


def listed(state: IndexState, name: str) -> dict[str, Any]:
    """Returns the fields of `ListedPhotoAnswer`."""
    quoted = urllib.parse.quote(name, safe="")
    return {
        "name": name,
        "photo": f"/photos/{quoted}",
        "thumbnail": f"/thumbnails/{quoted}",
        "metadata": state.photos.metadata(name),
    }


def parse_box(text: str) -> Box | None:
    """Returns the box of "left,top,right,bottom", None of an empty text.

    Raises:
        ServiceError: these are not four finite numbers.
    """
    if not text:
        return None
    try:
        edges = tuple(float(edge) for edge in text.split(","))
    except ValueError:
        edges = ()
    if len(edges) != 4 or not np.isfinite(edges).all():
        raise ServiceError(
            400,
            "A box is left,top,right,bottom in pixels, as in 10,20,300,250.",
        )
    return edges


class _Wanted(NamedTuple):
    """What of a ranking is wanted.

    Attributes:
        count: number of photos.
        min_similarity: least similarity of a photo.
        where: filter by metadata, if any.
        collapse: whether copies of one shot are one result.
        examples: names that are left out.
    """

    count: int
    min_similarity: float
    where: str
    collapse: bool
    examples: set[str]


class _Ranked(NamedTuple):
    """The first results.

    Attributes:
        found: photos, best first.
        total: number of photos that can be asked for.
        left_out: number of examples, and of photos too dissimilar, before the
            last result.
    """

    found: list[Match]
    total: int
    left_out: int


def _ranked(state: IndexState, row: np.ndarray, wanted: _Wanted) -> _Ranked:
    passing = len(state.passing(wanted.where)) if wanted.where else len(state)
    if not passing:
        return _Ranked([], 0, 0)
    examples = wanted.examples
    count = min(passing, wanted.count + len(examples), _MOST_RANKED)
    (found,) = state.photos.search_descriptors(
        row, count, where=wanted.where or None, collapse=wanted.collapse
    )
    kept = [
        match
        for match in found
        if match.name not in examples
        and match.similarity >= wanted.min_similarity
    ]
    shown = kept[: wanted.count]
    # The photos after those that are too dissimilar are so, too.
    is_all = len(shown) < wanted.count
    total = len(shown) if is_all else min(passing, _MOST_RANKED) - len(examples)
    return _Ranked(shown, total, len(found) - len(kept))
