"""The route of searches: by photos, examples, a box, filters, re-ranking."""

import os
from typing import Annotated, NamedTuple

import fastapi
import numpy as np
from fastapi import File, Form, UploadFile

from agem_tf.photos.boxes import Box
from agem_tf.retrieval.indexes import Match
from agem_tf.retrieval.reranking import SpatialVerification
from agem_tf.serving import schemas
from agem_tf.serving.served_index import IndexState, listed_photo
from agem_tf.serving.service import Service
from agem_tf.serving.service_errors import ServiceError

# Deeper pages of a ranking are of no use, and cost a sort of the whole index.
_MOST_RANKED = 10_000
# Steps of re-ranking, and the numbers of photos for which they are offered.
# More take longer than a request may at the first search.
_RERANKINGS = {
    "qe:5": range(5, 10_000_001),
    "agem": range(20, 20_001),
    "diffusion:5": range(50, 20_001),
}
# Orders the first photos by keypoints that they share with the query.
_VERIFY = "verify"
_VERIFICATION = SpatialVerification(num_candidates=20)


def search_routes(service: Service) -> fastapi.APIRouter:
    """Returns the route of searches."""
    router = fastapi.APIRouter(tags=["library"])

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
        _check_reranking(service, state, rerank)
        is_verified = rerank == _VERIFY
        if is_verified and (len(photo) + len(name) != 1 or unlike):
            raise ServiceError(
                400,
                f"rerank={_VERIFY} compares keypoints with one photo; leave "
                "out the other examples.",
            )
        parsed = parse_box(box)
        sent = [await each.read() for each in photo]
        query = await service.query(state, sent, name, unlike, parsed)
        least = _VERIFICATION.num_candidates if is_verified else 0
        wanted = _Wanted(
            max(offset + top, least),
            min_similarity,
            where,
            collapse,
            {*name, *unlike},
            (rerank,) if rerank and not is_verified else (),
        )
        ranked = await service.run(_ranked, state, query.row, wanted)
        found, inliers = ranked.found, {}
        if is_verified:
            photo_file = await service.file(state, sent, name)
            found, inliers = await _verified(
                service, state, photo_file, parsed, found
            )
        shown = found[offset : offset + top]
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
                    inliers=inliers.get(match.name),
                    **listed_photo(match.name, match.metadata),
                )
                for rank, match in enumerate(shown, offset + 1)
            ],
            total=ranked.total,
        )

    return router


def rerankings(service: Service, state: IndexState) -> list[str]:
    """Returns the steps of re-ranking that an index is searched with."""
    offered = []
    if state.keeps_descriptors:
        offered += [
            n for n, sizes in _RERANKINGS.items() if len(state) in sizes
        ]
    if service.matcher.is_installed and state.folder is not None:
        offered.append(_VERIFY)
    return offered


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


def _check_reranking(service: Service, state: IndexState, rerank: str) -> None:
    offered = rerankings(service, state)
    if rerank and rerank not in offered:
        raise ServiceError(
            400,
            f"This index is not searched with rerank={rerank!r}; leave it out"
            + (f" or give one of {', '.join(offered)}." if offered else "."),
        )


async def _verified(
    service: Service,
    state: IndexState,
    encoded: bytes,
    box: Box | None,
    found: list[Match],
) -> tuple[list[Match], dict[str, int]]:
    """Orders the first photos by their inliers.

    Photo by photo, so that a request that is given up stops, and requests
    that want the same thread take turns.

    Args:
        service: the service.
        state: the index.
        encoded: file of the query.
        box: part of the query, if not all.
        found: photos, best first.

    Returns:
        All photos, best first, and the numbers of inliers of the first ones by
        name.
    """
    query = await service.run_alone(service.matcher.features, encoded, box)
    features = [
        await service.run_alone(
            service.matcher.features_of_file,
            os.path.join(state.folder, match.name),
        )
        for match in found[: _VERIFICATION.num_candidates]
    ]
    order, inliers = await service.run_alone(
        _VERIFICATION.reorder,
        query,
        features.__getitem__,
        np.arange(len(found)),
    )
    ordered = [found[place] for place in order]
    names = [match.name for match in ordered[: len(inliers)]]
    return ordered, dict(zip(names, inliers.tolist(), strict=True))


class _Wanted(NamedTuple):
    """What of a ranking is wanted.

    Attributes:
        count: number of photos.
        min_similarity: least similarity of a photo.
        where: filter by metadata, if any.
        collapse: whether copies of one shot are one result.
        examples: indexed photos of the query, which are left out.
        rerank: steps of re-ranking.
    """

    count: int
    min_similarity: float
    where: str
    collapse: bool
    examples: set[str]
    rerank: tuple[str, ...]


class _Ranked(NamedTuple):
    """The first results.

    Attributes:
        found: photos, best first.
        total: number of photos that can be asked for, or more if some are too
            dissimilar or copies.
    """

    found: list[Match]
    total: int


def _ranked(state: IndexState, row: np.ndarray, wanted: _Wanted) -> _Ranked:
    if wanted.where:
        names = state.photos.passing(wanted.where)
        passing = len(names) - sum(name in names for name in wanted.examples)
    else:
        passing = len(state) - len(wanted.examples)
    if not passing:
        return _Ranked([], 0)
    count = most = min(passing, _MOST_RANKED)
    # Re-ranked, similar photos may come after dissimilar ones.
    if not (wanted.rerank and wanted.min_similarity > -1):
        count = min(wanted.count, most)
    (found,) = state.photos.search_descriptors(
        row,
        count,
        where=wanted.where or None,
        collapse=wanted.collapse,
        rerank=wanted.rerank,
        exclude=wanted.examples,
    )
    shown = [
        match for match in found if match.similarity >= wanted.min_similarity
    ][: wanted.count]
    # The photos after those that are too dissimilar are so, too.
    return _Ranked(shown, len(shown) if len(shown) < wanted.count else most)
