"""Re-ranking as a sequence of steps, and the text form of the steps."""

import dataclasses
import functools
import logging
import re
from collections.abc import Sequence

import numpy as np

from agem_tf.errors import UserError
from agem_tf.retrieval.nearest import (
    largest_first,
    num_kept,
    rank,
    similarity_blocks,
)
from agem_tf.retrieval.reranking.diffusion import Diffusion, OfflineDiffusion
from agem_tf.retrieval.reranking.expansion import (
    DatabaseAugmentation,
    QueryExpansion,
)
from agem_tf.retrieval.reranking.k_reciprocal import KReciprocal
from agem_tf.retrieval.reranking.spatial_verification import (
    SpatialVerification,
)
from agem_tf.retrieval.reranking.steps import (
    DescriptorStep,
    RankingStep,
    Reorder,
)
from agem_tf.retrieval.reranking.superglobal import SuperGlobal

_LOG = logging.getLogger(__name__)

STEPS = {
    "dba": DatabaseAugmentation,
    "diffusion": Diffusion,
    "k_reciprocal": KReciprocal,
    "offline_diffusion": OfflineDiffusion,
    "qe": QueryExpansion,
    "superglobal": SuperGlobal,
    "verify": SpatialVerification,
}
Step = DescriptorStep | RankingStep | SpatialVerification

# "agem" has the best exponents of the AGeM paper: 1 for the database, 0 for
# queries.
PRESETS = {"agem": ("dba:20,1", "qe:10,0")}
_NEXT_STEP = re.compile(rf"[\s,;+]+(?=(?:{'|'.join([*STEPS, *PRESETS])})\b)")
# Arguments of steps that may not exceed the size of the database.
_SIZES = ("num_neighbours", "num_query_neighbours")
# With more neighbours per photo, diffusion falls far below the ranking by
# similarity: from 39 to 17 mAP with 50 neighbours of 120 rendered photos.
_PHOTOS_PER_NEIGHBOUR = 10


def parse_rerank(specifications: Sequence[str]) -> list[Step]:
    """Returns the steps for their text form.

    Args:
        specifications: names of presets, or names of steps, each optionally
            followed by a colon and its first arguments, e.g. "qe:10,0" for
            num_neighbours=10 and alpha=0.

    Returns:
        The steps, in the given order.

    Raises:
        UserError: a name is unknown, a value is invalid, or the steps cannot
            follow each other.
    """
    steps = [
        _parse(text)
        for specification in specifications
        for text in PRESETS.get(specification, (specification,))
    ]
    _check_order(steps)
    return steps


def _parse(text: str) -> Step:
    text = text.strip()
    several = _NEXT_STEP.split(text)
    if len(several) > 1:
        raise UserError(
            f"{text!r} holds several steps; give them one by one: "
            f"{' '.join(f'--rerank={each}' for each in several)} (in a recipe, "
            f"{' '.join(several)!r})."
        )
    name, _, values = text.partition(":")
    if name in PRESETS:
        raise UserError(f"{text!r}: a preset takes no values; write {name}.")
    if name not in STEPS:
        raise UserError(
            f"Unknown re-ranking {name!r}. Known: "
            f"{', '.join(map(_usage, STEPS))}; presets: {', '.join(PRESETS)}"
        )
    fields = dataclasses.fields(STEPS[name])
    given = values.split(",") if values else []
    if len(given) > len(fields):
        raise UserError(f"{text!r} has too many values; write {_usage(name)}.")
    try:
        return STEPS[name](
            *(
                _value(field, value)
                for field, value in zip(fields, given, strict=False)
            )
        )
    except ValueError as error:
        raise UserError(f"{text!r}: {error}; write {_usage(name)}.") from error


def _value(field: dataclasses.Field, text: str) -> int | float | str:
    try:
        return field.type(text)
    except ValueError as error:
        kind = "a whole number" if field.type is int else "a number"
        raise ValueError(
            f"{field.name} must be {kind}, not {text!r}"
        ) from error


def _usage(name: str) -> str:
    fields = [field.name for field in dataclasses.fields(STEPS[name])]
    return f"{name}[:{','.join(fields)}]"


def rerank(
    queries: np.ndarray,
    database: np.ndarray,
    steps: Sequence[Step] = (),
    top: int | None = None,
) -> np.ndarray:
    """Returns the rankings of all queries after re-ranking.

    No step allocates a (photos, photos) matrix, nor a (queries, photos) matrix
    except for the result.

    Args:
        queries: (queries, dimension), L2-normalised.
        database: (photos, dimension), L2-normalised, possibly a memory map.
        steps: result of `parse_rerank`; without steps the ranking is exact.
        top: length of the rankings; all photos by default.

    Returns:
        (queries, min(top, photos)) int32 database indices, best first.

    Raises:
        UserError: see `transform`.
    """
    return PreparedReranking(database, steps).rank(queries, top)


def transform(
    queries: np.ndarray, database: np.ndarray, steps: Sequence[Step]
) -> tuple[np.ndarray, np.ndarray, Reorder | None]:
    """Applies the descriptor steps and prepares the ranking step, if any.

    Args:
        queries: (queries, dimension), L2-normalised.
        database: (photos, dimension), L2-normalised, possibly a memory map.
        steps: result of `parse_rerank`.

    Returns:
        The new queries, the new database, and the function of the last step
        that re-ranks the order of a query, or None.

    Raises:
        UserError: see `PreparedReranking`, or the dimensions differ.
    """
    prepared = PreparedReranking(database, steps)
    return prepared.expanded(queries), prepared.database, prepared.reorder


class PreparedReranking:
    """Steps of re-ranking of which the part without queries is done.

    Args:
        database: (photos, dimension), L2-normalised, possibly a memory map.
        steps: result of `parse_rerank`; without steps the ranking is exact.

    Attributes:
        database: (photos, dimension), after the descriptor steps.
        reorder: re-ranks the order of a query, or None.

    Raises:
        UserError: a ranking step is not the last one, a step needs more
            neighbours than there are photos or local features, or a
            descriptor is not finite.
    """

    def __init__(self, database: np.ndarray, steps: Sequence[Step]):
        _check_order(steps)
        _check_sizes(steps, len(database))
        self.reorder: Reorder | None = None
        self._expansions: list[tuple[DescriptorStep, np.ndarray]] = []
        for step in steps:
            if isinstance(step, RankingStep):
                self.reorder = step.prepare(database)
            else:
                self._expansions.append((step, database))
                database = step.augmented(database)
        self.database = database

    def expanded(self, queries: np.ndarray) -> np.ndarray:
        """Returns the queries after the descriptor steps.

        Args:
            queries: (queries, dimension), L2-normalised.

        Raises:
            UserError: the dimensions differ, or a descriptor is not finite.
        """
        for step, database in self._expansions:
            queries = step.expanded(queries, database)
        return queries

    def rank(self, queries: np.ndarray, top: int | None = None) -> np.ndarray:
        """Returns the rankings of queries; see `rerank`."""
        queries = self.expanded(queries)
        if self.reorder is None:
            return rank(queries, self.database, top)
        return rank_with(queries, self.database, self.reorder, top)


def _check_sizes(steps: Sequence[Step], photos: int) -> None:
    """Refuses steps that need more photos, or local features."""
    for step in steps:
        for name in _SIZES:
            size = getattr(step, name, 0)
            if size > photos:
                raise UserError(
                    f"{type(step).__name__} needs {name}={size}, but the "
                    f"database has {photos} photos; choose at most as many."
                )
        if isinstance(step, Diffusion | OfflineDiffusion):
            least = _PHOTOS_PER_NEIGHBOUR * step.num_neighbours
            if photos < least:
                raise UserError(
                    f"{type(step).__name__} with num_neighbours="
                    f"{step.num_neighbours} is for at least {least} photos; of "
                    f"{photos}, a walk would reach all alike. Give at most "
                    f"{photos // _PHOTOS_PER_NEIGHBOUR}, about as many as show "
                    "one thing."
                )
        _warn_of_few_photos(
            type(step).__name__, getattr(step, "num_neighbours", 0), photos
        )
    if split_verification(steps)[1] is not None:
        raise UserError(
            "The re-ranking verify needs local features; use agem_tf.evaluate "
            "with --local_features=DIR."
        )


# Once for each, because a service prepares a re-ranking per request.
@functools.cache
def _warn_of_few_photos(step: str, num_neighbours: int, photos: int) -> None:
    """Warns of neighbours most of which show something else."""
    most = photos // _PHOTOS_PER_NEIGHBOUR
    if num_neighbours > max(most, 1):
        _LOG.warning(
            "%s with num_neighbours=%d may lower the scores: of %d photos, "
            "many neighbours of a photo show something else. Give at most %d, "
            "about as many as show one thing.",
            step,
            num_neighbours,
            photos,
            max(most, 1),
        )


def rank_with(
    queries: np.ndarray,
    database: np.ndarray,
    reorder: Reorder,
    top: int | None = None,
) -> np.ndarray:
    """Returns the rankings of all queries by a prepared ranking step.

    Args:
        queries: (queries, dimension), L2-normalised.
        database: the database given to `RankingStep.prepare`.
        reorder: result of `RankingStep.prepare`.
        top: length of the rankings; all photos by default.

    Returns:
        (queries, min(top, photos)) int32 database indices, best first.

    Raises:
        UserError: the dimensions differ, or a descriptor is not finite.
    """
    photos = len(database)
    kept = num_kept(top, photos)
    ranks = np.empty((len(queries), kept), np.int32)
    for start, block in similarity_blocks(queries, database):
        for row, similarities in enumerate(block, start):
            order = largest_first(similarities[np.newaxis], photos)[0]
            query = np.asarray(queries[row], np.float32)
            ranks[row] = reorder(query, similarities, order)[:kept]
    return ranks


def split_verification(
    steps: Sequence[Step],
) -> tuple[list[Step], SpatialVerification | None]:
    """Returns the steps on descriptors alone, and the one on local features.

    Args:
        steps: result of `parse_rerank`.
    """
    *others, last = steps or [None]
    if isinstance(last, SpatialVerification):
        return others, last
    return list(steps), None


def _check_order(steps: Sequence[Step]) -> None:
    """Refuses steps after one that returns no descriptors."""
    others, _ = split_verification(steps)
    for step in others:
        if isinstance(step, SpatialVerification):
            raise UserError(
                "verify gives a final ranking by local features; make it the "
                "last step of re-ranking."
            )
    for step in others[:-1]:
        if isinstance(step, RankingStep):
            raise UserError(
                f"{type(step).__name__} gives a final ranking; make it the "
                "last step of re-ranking."
            )
