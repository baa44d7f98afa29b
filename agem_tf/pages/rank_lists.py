"""What queries found, photo by photo, framed by right and wrong."""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageOps

from agem_tf.evaluation.evaluating import Evaluation
from agem_tf.evaluation.ground_truth import QueryTruth
from agem_tf.evaluation.parts import parts_of
from agem_tf.evaluation.tables import main_part
from agem_tf.pages.report import RankList, Tile

# The name of a photo -> the photo, or None if there is none.
Photos = Callable[[str], Image.Image | None]

# Pixels: more than the page gives a tile, for dense screens.
_SIDE = 200


def judge(indices: Sequence[int], truth: QueryTruth) -> list[str]:
    """Says of each database index what it is to a query.

    Returns:
        "positive" (easy or hard), "junk" or "negative" per index.
    """
    verdicts = dict.fromkeys(truth.junk.tolist(), "junk")
    verdicts.update(dict.fromkeys(truth.positives.tolist(), "positive"))
    return [verdicts.get(int(index), "negative") for index in indices]


def rank_lists(
    evaluation: Evaluation,
    photos: Photos = lambda name: None,
    count: int = 20,
    top: int = 10,
) -> list[RankList]:
    """Shows what queries found, from the best to the worst scored one.

    Args:
        evaluation: of any protocol.
        photos: finds the photo of a name.
        count: queries shown, evenly spaced over their scores.
        top: photos of each ranking.
    """
    scores = query_scores(evaluation)
    order = np.argsort(-scores, kind="stable")
    order = order[~np.isnan(scores[order])]
    shown = np.linspace(0, len(order) - 1, min(count, len(order)))
    return [
        _rank_list(evaluation, int(query), scores[query], photos, top)
        for query in order[shown.round().astype(int)]
    ]


def query_scores(evaluation: Evaluation) -> np.ndarray:
    """(queries,) float64 from 0 to 1, NaN of a query that is not scored.

    All are 0 under a protocol that does not score single queries.
    """
    parts = parts_of(evaluation.scores)
    for values in parts[main_part(parts)].per_query.values():
        return values
    return np.zeros(len(evaluation.ranks))


def _rank_list(
    evaluation: Evaluation, query: int, score: float, photos: Photos, top: int
) -> RankList:
    truth = evaluation.ground_truth
    name, answers = truth.query_names[query], truth.queries[query]
    # A query in the database is junk there, and would repeat the first tile.
    found = [
        index
        for index in evaluation.ranks[query][: top + 1]
        if evaluation.database_names[index] != name
    ][:top]
    tiles = [Tile(name, "query", photo=_small(photos(name), answers.box))]
    for place, (index, verdict) in enumerate(
        zip(found, judge(found, answers), strict=True), 1
    ):
        other = evaluation.database_names[index]
        similarity = evaluation.similarity(query, index)
        caption = f"{place}: {similarity:.3f}"
        tiles.append(Tile(other, verdict, caption, _small(photos(other))))
    return RankList(f"{name}: {100 * score:.1f} %", tiles)


def _small(
    photo: Image.Image | None,
    box: tuple[float, float, float, float] | None = None,
) -> Image.Image | None:
    """The photo, or the box in it, within a square."""
    if photo is None:
        return None
    photo = photo.convert("RGB")
    if box is not None:
        photo = photo.crop(tuple(round(edge) for edge in box))
    return ImageOps.contain(photo, (_SIDE, _SIDE))
