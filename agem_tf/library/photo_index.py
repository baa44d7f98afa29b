"""Search in the index of a photo library from Python.

    index = PhotoIndex.open("photos.index")
    names = [match.name for match in index.search("photo.jpg", top=5)]

TensorFlow is imported only for a query that is a photo, so that a search by
descriptors, or by the name of an indexed photo, answers at once.
"""

from __future__ import annotations

import functools
import io
import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
import PIL.Image

from agem_tf import cli
from agem_tf.errors import UserError
from agem_tf.library.collapsing import collapsed
from agem_tf.library.recognition import Recognition, Voting, vote
from agem_tf.library.reranked_search import RerankedSearch
from agem_tf.photos.boxes import Box, check_box
from agem_tf.photos.reading import EncodedPhoto
from agem_tf.retrieval.indexes import Match, StoredIndex, storage_at
from agem_tf.retrieval.indexes.metadata_filter import parse_filter
from agem_tf.retrieval.indexes.photo_metadata import NO_FIELDS, Fields
from agem_tf.retrieval.reranking import parse_rerank

if TYPE_CHECKING:
    from agem_tf.extraction.photo_files import FileExtractor

encoding = cli.lazy("agem_tf.photos.encoding")
photo_models = cli.lazy("agem_tf.library.photo_models")

Query = str | os.PathLike | bytes | np.ndarray

# Copies of a photo, saved again without loss, are more similar than this.
_COPY = 0.9995
# Copies that may be left out of a result without another search.
_SPARE = 20
# How many times as many photos are found, if too many were left out.
_GROWTH = 4
_MOST_SELECTIONS = 16
# Each may hold new descriptors of all photos.
_MOST_PREPARED = 4
_REMEDY = "give another one"


class PhotoIndex:
    """An opened index.

    Args:
        stored: the index, as a storage opens it.

    Example:
        >>> index = PhotoIndex.open("photos.index")
        >>> matches = index.search("photo.jpg", box=(10, 20, 300, 250), top=5)
    """

    def __init__(self, stored: StoredIndex):
        self.stored = stored
        # Names by filter: a page of results asks for the same one again.
        self._selections: dict[str, Collection[str]] = {}
        # By steps and filter, the one that was used last at the end.
        self._prepared: dict[tuple, RerankedSearch] = {}
        self._preparing = threading.Lock()

    @classmethod
    def open(cls, path: str | os.PathLike, model: str | None = None) -> Self:
        """Opens an index.

        Args:
            path: directory of the index, or "milvus:" and an address.
            model: directory of the SavedModel, for Milvus only.

        Raises:
            UserError: there is no index, or it is damaged.
        """
        return cls(storage_at(os.fspath(path), model).open())

    def __len__(self) -> int:
        """Number of photos."""
        return len(self.stored.index)

    @property
    def folder(self) -> str | None:
        """Folder that the names of photos are relative to, if there is one."""
        return self.stored.origin.photos

    def search(
        self,
        query: Query,
        *,
        box: Box | None = None,
        top: int | None = None,
        min_similarity: float | None = None,
        exclude_self: bool = False,
        where: str | None = None,
        collapse: bool = False,
        rerank: Sequence[str] = (),
    ) -> list[Match]:
        """Returns the photos that are most similar to a query.

        Args:
            query: path of a photo or name of an indexed one, bytes of a photo
                file, pixels (height, width, 3) uint8 RGB, or a descriptor
                (dimension,).
            box: x1, y1, x2, y2 in pixels of the upright photo, the part to
                search for.
            top: number of photos, 10 by default; fewer in a smaller index.
            min_similarity: least similarity of a photo to be found.
            exclude_self: whether to leave out the query and exact copies of it.
            where: filter of the photos by their metadata, for example
                "year >= 2020 and landmark != unknown"; see `metadata_filter`.
            collapse: whether copies of one shot become one result, the best of
                them, with the names of the others; see `collapsing`.
            rerank: steps of re-ranking such as "qe:5", in an exact index; see
                `retrieval.reranking` and `RerankedSearch`. What they do with
                all photos is done at the first search.

        Raises:
            UserError: the query is not readable, the box is not inside it, the
                index has no model for photos, the filter or a step is
                malformed, or the index is not exact and copies are to be
                collapsed or results re-ranked.
        """
        rows = self.descriptors([query], None if box is None else [box])
        (matches,) = self.search_descriptors(
            rows, top, min_similarity, exclude_self, where, collapse, rerank
        )
        return matches

    def recognize(
        self,
        query: Query,
        *,
        box: Box | None = None,
        exclude_self: bool = False,
        where: str | None = None,
        voting: Voting | None = None,
    ) -> Recognition:
        """Returns the label of a photo, voted by the photos it resembles.

        Args:
            query, box, exclude_self, where: see `search`.
            voting: the field of the metadata that has the labels, and how they
                are voted for; see `recognition`.

        Raises:
            UserError: no photo of the index has the field, or see `search`.
        """
        voting = voting or Voting()
        matches = self.search(
            query,
            box=box,
            top=voting.voters,
            exclude_self=exclude_self,
            where=voting.filter(where),
        )
        return vote(matches, voting)

    def search_descriptors(
        self,
        rows: np.ndarray,
        top: int | None = None,
        min_similarity: float | None = None,
        exclude_self: bool = False,
        where: str | None = None,
        collapse: bool = False,
        rerank: Sequence[str] = (),
        exclude: Collection[str] = (),
    ) -> list[list[Match]]:
        """Searches by several descriptors at once; see `search`.

        Args:
            rows: (queries, dimension).
            top, min_similarity, exclude_self, where, collapse, rerank: see
                `search`.
            exclude: names of photos to leave out.

        Returns:
            The photos per query, best first, with their metadata.
        """
        index = self.stored.index
        top = index.num_found(None if top is None else min(top, len(self)))
        spare = len(exclude) + (_SPARE if exclude_self else 0)
        wanted = min(len(self), top + spare)
        least = -np.inf if min_similarity is None else min_similarity
        most = _COPY if exclude_self else np.inf
        among = None if where is None else self.passing(where)
        if rerank:
            search = self._reranked(tuple(rerank), where).search
        else:
            search = functools.partial(index.search, among=among)
        while True:
            found = search(rows, wanted)
            kept = [
                [
                    match
                    for match in each
                    if least <= match.similarity <= most
                    and match.name not in exclude
                ]
                for each in found
            ]
            if collapse:
                kept = [self._collapsed(matches) for matches in kept]
            # Later photos are less similar, unless they are re-ranked.
            is_short = any(
                len(some) < top
                and len(each) == wanted
                and (rerank or each[-1].similarity >= least)
                for some, each in zip(kept, found, strict=True)
            )
            if wanted == len(self) or not is_short:
                break
            wanted = min(len(self), _GROWTH * wanted)
        kept = [matches[:top] for matches in kept]
        known = self.metadata_of({m.name for ms in kept for m in ms})
        return [
            [
                match._replace(metadata=known.get(match.name, NO_FIELDS))
                for match in matches
            ]
            for matches in kept
        ]

    def photo_names(self, where: str | None = None) -> list[str]:
        """Returns the names of all photos, or of those that pass a filter.

        Raises:
            UserError: see `search`.
        """
        if where is None:
            return self.stored.index.names()
        return list(self.passing(where))

    def passing(self, where: str) -> Collection[str]:
        """Returns the names of the photos that pass a filter.

        Raises:
            UserError: see `search`.
        """
        if where in self._selections:
            return self._selections[where]
        condition = parse_filter(where)
        for field in sorted(condition.fields - set(self.metadata_fields)):
            fields = ", ".join(self.metadata_fields) or "none"
            raise UserError(
                f"No photo of the index has the field {field!r}; its fields "
                f"are: {fields}."
            )
        passing = self.stored.index.passing(condition)
        if passing is None:
            names = self.stored.index.names()
            known = self.metadata_of(names)
            # The keys of a dictionary are a set with an order.
            passing = dict.fromkeys(
                name
                for name in names
                if condition.passes(known.get(name, NO_FIELDS))
            )
        if len(self._selections) >= _MOST_SELECTIONS:
            self._selections.clear()
        self._selections[where] = passing
        return passing

    def metadata(self, name: str) -> Fields:
        """Returns the metadata of a photo, empty if it has none."""
        return self.metadata_of([name]).get(name, NO_FIELDS)

    def metadata_of(self, names: Collection[str]) -> Mapping[str, Fields]:
        """Returns the metadata of those of some photos that have any."""
        metadata = self.stored.metadata
        return {} if metadata is None else metadata.of(names)

    @functools.cached_property
    def metadata_fields(self) -> list[str]:
        """Names of the fields of the metadata, sorted."""
        metadata = self.stored.metadata
        return [] if metadata is None else metadata.field_names()

    def descriptors(
        self,
        queries: Sequence[Query],
        boxes: Sequence[Box] | None = None,
        skip: Callable[[Query, UserError], None] | None = None,
    ) -> np.ndarray:
        """Returns the (queries, dimension) descriptors of queries.

        Args:
            queries: see `search`.
            boxes: the part of each query to search for; all by default.
            skip: called with each unreadable query and its error; the query
                then has no row. Without it, the first one is raised.

        Raises:
            UserError: see `search`.
        """
        rows = np.empty((len(queries), self.stored.index.dimension), np.float32)
        photos: list[int] = []
        encoded: list[bytes] = []
        skipped: list[int] = []
        of_photos: list[list[float]] = []
        for number, query in enumerate(queries):
            row = self._stored_row(query) if boxes is None else None
            if row is not None:
                rows[number] = row
                continue
            try:
                photo = self._encoded(query)
            except UserError as error:
                if skip is None:
                    raise
                skip(query, error)
                skipped.append(number)
                continue
            if boxes is not None:
                size = photo.width, photo.height
                name = _label(query)
                check_box(boxes[number], size, name, "correct the box")
                of_photos.append([x / photo.reduction for x in boxes[number]])
            photos.append(number)
            encoded.append(photo.encoded)
        if photos:
            rows[photos] = self._extractor.encoded(encoded, of_photos or None)
        return np.delete(rows, skipped, axis=0) if skipped else rows

    def combined(
        self, like: Sequence[Query], unlike: Sequence[Query] = ()
    ) -> np.ndarray:
        """Returns one descriptor for several examples and counter-examples.

        Args:
            like: photos of what is searched for.
            unlike: photos of what is not.

        Returns:
            (1, dimension); see `rocchio_row`.
        """
        others = self.descriptors(unlike) if unlike else None
        return rocchio_row(self.descriptors(like), others)

    def _reranked(
        self, rerank: tuple[str, ...], where: str | None
    ) -> RerankedSearch:
        """Returns the prepared steps; those of the last searches are kept."""
        # The first searches of a service wait for one preparation.
        with self._preparing:
            search = self._prepared.pop((rerank, where), None)
            if search is None:
                steps = parse_rerank(rerank)
                among = None if where is None else self.passing(where)
                search = RerankedSearch(self.stored.index, steps, among)
            self._prepared[rerank, where] = search
            if len(self._prepared) > _MOST_PREPARED:
                del self._prepared[next(iter(self._prepared))]
            return search

    def _collapsed(self, matches: list[Match]) -> list[Match]:
        rows = self.stored.index.descriptors_of([m.name for m in matches])
        if rows is None:
            raise UserError(
                "Copies can be collapsed in an exact index only; leave that "
                "out, or index with --factory=exact."
            )
        return collapsed(matches, rows)

    @functools.cached_property
    def _extractor(self) -> FileExtractor:
        return photo_models.extractor_of(self.stored)

    def _stored_row(self, query: Query) -> np.ndarray | None:
        """Returns the descriptor that a query is, or that is stored for it."""
        if isinstance(query, np.ndarray) and query.ndim == 1:
            return query
        is_name = isinstance(query, str) and not os.path.exists(query)
        return self.stored.index.descriptor(query) if is_name else None

    def _encoded(self, query: Query) -> EncodedPhoto:
        if isinstance(query, np.ndarray):
            query = _png(query)
        if isinstance(query, bytes):
            return encoding.encode_photo(query, _label(query), remedy=_REMEDY)
        path = os.fspath(query)
        if not os.path.exists(path) and self.stored.index.known([path]):
            path = os.path.join(self.folder or "", path)
        return encoding.read_encoded_photo(path, remedy=_REMEDY)


def rocchio_row(like: np.ndarray, unlike: np.ndarray | None) -> np.ndarray:
    """Returns one descriptor for examples and counter-examples.

    `L2(mean(like) - mean(unlike) / 2)`, Rocchio's formula.

    Args:
        like: (photos, dimension) descriptors of what is searched for.
        unlike: (photos, dimension) of what is not, if any.

    Returns:
        (1, dimension).

    Reference:
        Manning et al., Introduction to Information Retrieval, chapter 9
    """
    row = like.mean(axis=0, keepdims=True)
    if unlike is not None:
        row -= unlike.mean(axis=0, keepdims=True) / 2
    return row / max(np.linalg.norm(row), np.finfo(np.float32).tiny)


def _png(pixels: np.ndarray) -> bytes:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise UserError(
            "A query array is (height, width, 3) uint8 RGB or a descriptor "
            f"(dimension,). Received: shape {pixels.shape} of {pixels.dtype}"
        )
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _label(query: Query) -> str:
    if isinstance(query, bytes | np.ndarray):
        return "the query"
    return os.fspath(query)
