"""Routes of a person's library: the index, its photos, its map."""

from typing import Annotated

import fastapi
from fastapi import Query, Request, Response

from agem_tf import cli
from agem_tf.serving import schemas
from agem_tf.serving.photo_images import JpegCache, JpegFile
from agem_tf.serving.search_routes import rerankings
from agem_tf.serving.served_index import IndexState, remembered
from agem_tf.serving.service import Service
from agem_tf.serving.service_errors import not_found

# Imports Matplotlib, for its page.
photo_map = cli.lazy("agem_tf.library.photo_map")

_PHOTO_SIDE = 2048
# The page draws so many smoothly; of more, every second, third, ... is shown.
_MOST_MAPPED = 10_000
_LEAST_MAPPED = 3
_JPEG = {200: {"content": {"image/jpeg": {}}}}
_CACHED = "private, max-age=3600"


def library_routes(service: Service) -> fastapi.APIRouter:
    """Returns the routes that describe the index and list its photos."""
    router = fastapi.APIRouter(tags=["library"])
    points = remembered(_map_points)

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
                attention=state.has_attention,
                matches=service.matcher.is_installed,
                duplicates=state.keeps_descriptors,
                map=_has_map(state),
                collapse=state.keeps_descriptors,
                metadata=state.photos.metadata_fields,
                rerank=rerankings(service, state),
            ),
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
        shown = names[offset : offset + limit]
        return schemas.PhotosAnswer(
            photos=await service.run(state.listed, shown), total=len(names)
        )

    @router.get("/map")
    async def library_map() -> schemas.MapAnswer:
        """Returns where the photos lie on a plane, similar ones together."""
        state = await service.state()
        if not _has_map(state):
            raise not_found(
                f"A map needs an exact index of at least {_LEAST_MAPPED} "
                "photos."
            )
        return schemas.MapAnswer(points=await service.run(points, state))

    return router


def image_routes(service: Service) -> fastapi.APIRouter:
    """Returns the routes of the indexed photos as JPEG files."""
    router = fastapi.APIRouter(tags=["library"])
    images = JpegCache()

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
        path = await service.run(state.path, name)
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


def _has_map(state: IndexState) -> bool:
    return state.keeps_descriptors and len(state) >= _LEAST_MAPPED


def _map_points(state: IndexState) -> list[schemas.MapPointAnswer]:
    step = -(-len(state) // _MOST_MAPPED)
    names = state.names[::step]
    places = photo_map.map_positions(state.stored.index.descriptors_of(names))
    return [
        schemas.MapPointAnswer(x=x, y=y, **fields)
        for fields, (x, y) in zip(
            state.listed(names), places.tolist(), strict=True
        )
    ]
