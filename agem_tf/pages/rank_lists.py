"""Rank lists: queries and the photos that they found, framed by verdict."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from agem_tf.evaluation.evaluating import Evaluation
from agem_tf.evaluation.ground_truth import QueryTruth
from agem_tf.evaluation.results import evenly_spaced
from agem_tf.pages.photo_sources import Photos, no_photos
from agem_tf.pages.report import THUMBNAIL_SIDE, RankList, Tile


def judge(indices: Sequence[int], truth: QueryTruth) -> list[str]:
    """Returns the verdict on each database index.

    Returns:
        "positive" (easy or hard), "junk" or "negative" per index.
    """
    verdicts = dict.fromkeys(truth.junk.tolist(), "junk")
    verdicts.update(dict.fromkeys(truth.positives.tolist(), "positive"))
    return [verdicts.get(int(index), "negative") for index in indices]


def rank_lists(
    evaluation: Evaluation,
    photos: Photos = no_photos,
    count: int = 20,
    top: int = 10,
) -> list[RankList]:
    """Shows what queries found, from the best to the worst score.

    Args:
        evaluation: result of any protocol.
        photos: finds the photo of a name.
        count: number of queries shown, evenly spaced over their scores.
        top: number of photos shown of each ranking.
    """
    scores = evaluation.scores.query_scores()
    if scores is None:
        scores = np.zeros(len(evaluation.ranks))
    order = np.argsort(-scores, kind="stable")
    order = order[~np.isnan(scores[order])]
    return [
        _rank_list(evaluation, int(query), scores[query], photos, top)
        for query in order[evenly_spaced(len(order), count)]
    ]


def query_tiles(
    name: str,
    answers: QueryTruth,
    found: Mapping[int, str],
    captions: Sequence[str],
    photos: Photos = no_photos,
) -> list[Tile]:
    """Shows a query in its box, then what it found, best first.

    Args:
        name: name of the query.
        answers: its positives, junk and box.
        found: index -> name of each photo to show, best first.
        captions: text below each of these photos.
        photos: finds the photo of a name.
    """
    tiles = [Tile(name, "query", photo=_thumbnail(photos(name), answers.box))]
    for other, verdict, caption in zip(
        found.values(), judge(list(found), answers), captions, strict=True
    ):
        tiles.append(Tile(other, verdict, caption, _thumbnail(photos(other))))
    return tiles


def shown_photos(
    query_name: str,
    ranks: Sequence[int],
    database_names: Sequence[str],
    top: int,
) -> dict[int, str]:
    """Returns index -> name of the best photos of a query, best first.

    A query in the database is junk there, and would repeat the first tile.
    """
    found = [
        int(i) for i in ranks[: top + 1] if database_names[i] != query_name
    ]
    return {index: database_names[index] for index in found[:top]}


def _rank_list(
    evaluation: Evaluation, query: int, score: float, photos: Photos, top: int
) -> RankList:
    truth = evaluation.ground_truth
    name = truth.query_names[query]
    found = shown_photos(
        name, evaluation.ranks[query], evaluation.database_names, top
    )
    captions = [
        f"{rank}: {evaluation.similarity(query, index):.3f}"
        for rank, index in enumerate(found, 1)
    ]
    tiles = query_tiles(name, truth.queries[query], found, captions, photos)
    return RankList(f"{name}: {100 * score:.1f} %", tiles)


def _thumbnail(
    photo: Image.Image | None,
    box: tuple[float, float, float, float] | None = None,
) -> Image.Image | None:
    if photo is None:
        return None
    photo = photo.convert("RGB")
    if box is not None:
        photo = photo.crop(tuple(round(edge) for edge in box))
    photo.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return photo
