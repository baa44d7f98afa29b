"""Searches an index, and shows the results as lines or as a page.

TensorFlow is imported only for a search by photos, so that a search by
descriptors answers at once.
"""

import dataclasses
import os
from collections.abc import Sequence

from agem_tf import native_output
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.pages.report import (
    THUMBNAIL_SIDE,
    RankList,
    Report,
    Tile,
    counted,
)
from agem_tf.photos.boxes import Box, check_box
from agem_tf.photos.reading import read_thumbnail
from agem_tf.retrieval.indexes import Match, StoredIndex


@dataclasses.dataclass(frozen=True)
class Answer:
    """A query and its results.

    Attributes:
        query: path or name of the query photo.
        matches: photos that were found, best first.
        box: x1, y1, x2, y2 in pixels of the upright query photo, the part that
            was searched for; None for the whole photo.
        inliers: number of inliers of the first matches, if they are verified.
    """

    query: str
    matches: list[Match]
    box: Box | None = None
    inliers: Sequence[int] | None = None

    def lines(self) -> str:
        """Returns lines of rank, similarity, inliers if any, and name."""
        lines = [
            f"{rank:4} {match.similarity:7.4f}{self._count(rank, 13)}  "
            f"{match.name}"
            for rank, match in enumerate(self.matches, 1)
        ]
        return "\n".join([self.query, *lines])

    def caption(self, rank: int) -> str:
        """Returns rank, similarity, and inliers if any, of a match."""
        similarity = self.matches[rank - 1].similarity
        return f"{rank}: {similarity:.3f}{self._count(rank)}"

    def _count(self, rank: int, width: int = 0) -> str:
        if self.inliers is None:
            return ""
        count = ""
        if rank <= len(self.inliers):
            count = f", {counted(self.inliers[rank - 1], 'inlier')}"
        return f"{count:{width}}" if width else count


def search_by_photos(
    stored: StoredIndex,
    paths: Sequence[str],
    top: int | None = None,
    box: Box | None = None,
) -> list[Answer]:
    """Searches by photos.

    Args:
        stored: the index.
        paths: paths of the photos.
        top: number of photos to find per query; see `DescriptorIndex.search`.
        box: x1, y1, x2, y2 in pixels of the upright photo, the part to search
            for; only with a single photo.

    Returns:
        One answer per photo.

    Raises:
        UserError: a photo can't be read, the box is not inside it, the index
            has no model or another one, or `top` exceeds the index.
    """
    with native_output.captured():
        from agem_tf.library.photo_models import extractor_of
        from agem_tf.photos.encoding import read_encoded_photo

    queries = [
        read_encoded_photo(path, remedy="give another one") for path in paths
    ]
    if box is not None:
        size = queries[0].width, queries[0].height
        check_box(box, size, paths[0], "correct --box=x1,y1,x2,y2")
    boxes = box and [[edge / queries[0].reduction for edge in box]]
    rows = extractor_of(stored).encoded(
        [query.encoded for query in queries], boxes
    )
    found = stored.index.search(rows, top)
    return [
        Answer(path, matches, box)
        for path, matches in zip(paths, found, strict=True)
    ]


def search_by_descriptors(
    stored: StoredIndex, descriptors: str, top: int | None = None
) -> list[Answer]:
    """Searches by extracted descriptors.

    Args:
        stored: the index.
        descriptors: directory of a descriptor set.
        top: number of photos to find per query; see `DescriptorIndex.search`.

    Returns:
        One answer per descriptor.

    Raises:
        UserError: the descriptors are missing or damaged, another model or
            other settings made them, or `top` exceeds the index.
    """
    queries = stored.fitted(
        DescriptorSet.load(descriptors, verify=True), descriptors
    )
    found = stored.index.search(queries.descriptors, top)
    return [
        Answer(query, matches)
        for query, matches in zip(queries.names, found, strict=True)
    ]


def save_answers_page(
    path: str | os.PathLike, answers: Sequence[Answer], folder: str | None
) -> None:
    """Writes queries and their results as one HTML file.

    A photo that can't be read is shown by its name.

    Args:
        path: path of the page.
        answers: queries and their results.
        folder: folder that the names are relative to, if it is known.
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
            answer.caption(rank),
            read_thumbnail(os.path.join(root, match.name), THUMBNAIL_SIDE),
        )
        for rank, match in enumerate(answer.matches, 1)
    ]
    return RankList(answer.query, [query, *found])
