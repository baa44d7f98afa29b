"""Routes to look closely: attention, matches, duplicates."""

from typing import Annotated

import fastapi
from fastapi import File, Form, Query, Response, UploadFile

from agem_tf.config import ImageConfig, read_settings
from agem_tf.library.answers import Answer
from agem_tf.library.collapsing import SAME_SHOT
from agem_tf.library.copies import groups_of_copies
from agem_tf.serving import schemas
from agem_tf.serving.photo_details import attention_png
from agem_tf.serving.search_routes import parse_box
from agem_tf.serving.served_index import IndexState, remembered
from agem_tf.serving.service import Service
from agem_tf.serving.service_errors import ServiceError, not_found

_PNG = {200: {"content": {"image/png": {}}}}
# Every photo is compared with every other one.
_MOST_COMPARED = 20_000


def detail_routes(service: Service) -> fastapi.APIRouter:
    """Returns the routes of single photos, and of copies."""
    router = fastapi.APIRouter(tags=["details"])
    groups = remembered(_groups)

    @router.post("/attention", response_model=None, responses=_PNG)
    async def attention(
        photo: Annotated[list[UploadFile], File()] = (),
        name: Annotated[list[str], Form()] = (),
    ) -> Response:
        """Returns a photo under a heat map of where the network looks."""
        state = await service.state()
        if not state.has_attention:
            raise not_found(
                "The model of the index is of an earlier version and has no "
                "heat maps; remove it if the index is in Milvus, and index the "
                "photos with --overwrite."
                if state.model
                else "The index was made of descriptors and has no model; "
                "index the photos."
            )
        sent = [await each.read() for each in photo]
        encoded = await service.file(state, sent, name)
        made = state.stored.origin.provenance
        image = read_settings(ImageConfig, made["image"])
        return PngResponse(
            await service.run_alone(
                attention_png, encoded, state.model.attention, image
            )
        )

    @router.post("/matches")
    async def matches(
        result: Annotated[str, Form()],
        photo: Annotated[list[UploadFile], File()] = (),
        name: Annotated[list[str], Form()] = (),
        box: Annotated[str, Form()] = "",
    ) -> schemas.MatchesAnswer:
        """Matches a photo, sent or indexed, with an indexed one."""
        state = await service.state()
        parsed = parse_box(box)
        sent = [await each.read() for each in photo]
        query = await service.file(state, sent, name)
        other = await service.read(state, result)
        found = await service.run_alone(
            service.matcher.match, query, other, parsed
        )
        return schemas.MatchesAnswer(
            inliers=len(found.query_points),
            query_points=found.query_points.tolist(),
            result_points=found.result_points.tolist(),
            query_size=list(found.query_size),
            result_size=list(found.result_size),
            transform=None
            if found.transform is None
            else found.transform.tolist(),
        )

    @router.get("/duplicates")
    async def duplicates(
        threshold: Annotated[float, Query(ge=-1, le=1)] = SAME_SHOT,
    ) -> schemas.DuplicatesAnswer:
        """Groups the photos that show the same, the largest group first."""
        state = await service.state()
        if len(state) > _MOST_COMPARED:
            raise ServiceError(
                409,
                f"An index of more than {_MOST_COMPARED} photos takes too "
                "long; use python -m agem_tf.duplicates.",
            )
        found = await service.run(groups, state, threshold)
        return schemas.DuplicatesAnswer(groups=found, threshold=threshold)

    return router


class PngResponse(Response):
    """A PNG file."""

    media_type = "image/png"


def _groups(
    state: IndexState, threshold: float
) -> list[list[schemas.CopyAnswer]]:
    found = groups_of_copies(state.descriptor_set(), threshold)
    return [_group(state, answer) for answer in found]


def _group(state: IndexState, answer: Answer) -> list[schemas.CopyAnswer]:
    names = [answer.query, *(match.name for match in answer.matches)]
    similarities = [1.0, *(match.similarity for match in answer.matches)]
    return [
        schemas.CopyAnswer(similarity=similarity, **fields)
        for fields, similarity in zip(
            state.listed(names), similarities, strict=True
        )
    ]
