"""What a search found: as lines, and as a page with the photos.

Needs no TensorFlow, so that a search by descriptors answers at once.
"""

import dataclasses
import os
from collections.abc import Sequence

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.pages.report import (
    THUMBNAIL_SIDE,
    RankList,
    Report,
    Tile,
    counted,
)
from agem_tf.photos.reading import read_thumbnail
from agem_tf.retrieval.indexes import Match, StoredIndex

Box = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True)
class Answer:
    """A query and what it found.

    Attributes:
        query: path of the photo, or its name.
        matches: best first.
        box: what of the photo was searched for, if not all.
    """

    query: str
    matches: list[Match]
    box: Box | None = None

    def describe(self) -> str:
        """Returns lines of rank, similarity and name."""
        lines = [
            f"{rank:4} {match.similarity:7.4f}  {match.name}"
            for rank, match in enumerate(self.matches, 1)
        ]
        return "\n".join([self.query, *lines])


def by_descriptors(
    stored: StoredIndex, descriptors: str, top: int | None = None
) -> list[Answer]:
    """Searches by extracted descriptors.

    Args:
        stored: the index.
        descriptors: directory of a descriptor set.
        top: photos found for each; see `DescriptorIndex.search`.

    Raises:
        UserError: they were made by another model or other settings, or `top`
            exceeds the index.
    """
    queries = stored.fitted(DescriptorSet.load(descriptors), descriptors)
    found = stored.index.search(queries.descriptors, top)
    return [
        Answer(query, matches)
        for query, matches in zip(queries.names, found, strict=True)
    ]


def save_page(
    path: str | os.PathLike, answers: Sequence[Answer], folder: str | None
) -> None:
    """Writes queries and what they found as one HTML file.

    A photo that is not at hand any more is shown by its name.

    Args:
        path: of the page.
        answers: what was found.
        folder: that the names are relative to, if it is known.
    """
    queries = counted(len(answers), "query", "queries")
    count = sum(len(answer.matches) for answer in answers)
    Report(
        title="Search",
        subtitle=f"{queries}, {counted(count, 'photo')} found.",
        rank_lists=[_rank_list(answer, folder) for answer in answers],
    ).save(path)


def _rank_list(answer: Answer, folder: str | None) -> RankList:
    root = folder or ""
    query_photo = read_thumbnail(
        answer.query, THUMBNAIL_SIDE, answer.box
    ) or read_thumbnail(os.path.join(root, answer.query), THUMBNAIL_SIDE)
    query = Tile(answer.query, "query", "query", query_photo)
    found = [
        Tile(
            match.name,
            "found",
            f"{rank}: {match.similarity:.3f}",
            read_thumbnail(os.path.join(root, match.name), THUMBNAIL_SIDE),
        )
        for rank, match in enumerate(answer.matches, 1)
    ]
    return RankList(answer.query, [query, *found])
