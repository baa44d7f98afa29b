"""Ranks the database for every query and scores the rankings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.local_features import LocalFeatureSet
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.places import (
    Found,
    Places,
    Verify,
    rank_similarities,
    search_database,
)
from agem_tf.evaluation.protocols import find_protocol
from agem_tf.evaluation.protocols.protocol import ProtocolScores
from agem_tf.files.provenance import check_same_provenance
from agem_tf.files.rows import SelectedRows, StackedRows
from agem_tf.retrieval.indexes import DescriptorIndex
from agem_tf.retrieval.local_indexes import FeatureIndex
from agem_tf.retrieval.nearest import NotFiniteError
from agem_tf.retrieval.reranking import Reorder

_BOXES = (
    "The queries of this ground truth are boxes in photos; extract them with "
    "--queries and give both descriptor sets."
)
# Photos that an index is asked for, or more if more are to be kept.
ANSWERS = 1000
# (queries, database) -> both, changed, and a function that then re-ranks the
# order of one query, if any; see `retrieval.reranking`.
Rerank = Callable[
    [np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, Reorder | None]
]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores and the best photos of each query.

    Attributes:
        protocol: name of the protocol.
        scores: its scores.
        ranks: (queries, top) int32 indices of `database_names`, best first.
        similarities: (queries, top) float32 dot products of those photos.
        ground_truth: the queries and their positives.
        database_names: database photos, then the distractors.
        notes: sentences to print with every score of the dataset.
    """

    protocol: str
    scores: ProtocolScores
    ranks: np.ndarray
    similarities: np.ndarray
    ground_truth: GroundTruth
    database_names: Sequence[str]
    notes: Sequence[str] = ()

    @property
    def num_distractors(self) -> int:
        """Number of distractors behind the database photos."""
        return len(self.database_names) - len(self.ground_truth.database_names)

    def similarity(self, query: int, photo: int) -> float:
        """Returns the dot product of a query and one of its best photos."""
        place = np.flatnonzero(self.ranks[query] == photo)[0]
        return float(self.similarities[query, place])


def evaluate_descriptors(
    database: DescriptorSet,
    ground_truth: GroundTruth,
    queries: DescriptorSet | None = None,
    distractors: DescriptorSet | None = None,
    protocol: str = "revisited",
    rerank: Rerank | None = None,
    top: int = 100,
    notes: Sequence[str] = (),
    verify: Verify | None = None,
) -> Evaluation:
    """Searches the database for every query and scores what is found.

    Args:
        database: a descriptor of each database photo, in any order. Names
            without folders and suffix match too, if they are unique.
        ground_truth: names of the photos, and the queries.
        queries: descriptors of the query photos, cropped to their boxes; by
            default the queries are looked up in the database, which requires
            queries without boxes.
        distractors: photos that are wrong for every query, such as the million
            of revisited Oxford and Paris; they are appended to the database.
        protocol: a name of `protocols.PROTOCOLS`.
        rerank: changes descriptors and orders; by default photos are ranked by
            the dot products of the descriptors as they are.
        top: number of photos kept of each ranking, or the whole database if
            it is smaller.
        notes: sentences to print with every score of the dataset.
        verify: then re-ranks the order of a query, given by its position, by
            local features.

    Raises:
        UserError: a photo has no descriptor, or one that is not finite; the
            sets were made differently; or the queries have boxes but no
            descriptors of their own.
    """
    find_protocol(protocol)  # An unknown name is found before the search.
    if queries is None:
        if ground_truth.has_boxes:
            raise UserError(_BOXES)
        queries = database
    for name, other in (("queries", queries), ("distractors", distractors)):
        if other is not None:
            check_same_provenance(
                other.provenance,
                database.provenance,
                f"the {name}",
                "the database",
            )
    names = ground_truth.database_names
    query_rows = _rows(queries, ground_truth.query_names, "query")
    database_rows = _rows(database, names, "database photo")
    if distractors is not None:
        database_rows = StackedRows([database_rows, distractors.descriptors])
        names = [*names, *distractors.names]
    reorder = None
    try:
        if rerank is not None:
            query_rows, database_rows, reorder = rerank(
                query_rows, database_rows
            )
        found = search_database(
            query_rows,
            database_rows,
            ground_truth.queries,
            top,
            reorder,
            verify,
        )
    except NotFiniteError as error:
        named = ground_truth.query_names if error.role == "query" else names
        raise UserError(
            f"The descriptor of {error.role} photo {named[error.row]!r} holds "
            "NaN or infinite values; check that photo and the weights of the "
            "model, and extract it again."
        ) from error
    return _scored(protocol, found, ground_truth, names, notes)


def evaluate_answers(
    index: DescriptorIndex,
    queries: np.ndarray,
    ground_truth: GroundTruth,
    protocol: str = "revisited",
    top: int = 100,
    notes: Sequence[str] = (),
    verify: Verify | None = None,
) -> Evaluation:
    """Scores the photos that an index finds for each query.

    The search of the index itself is scored, so that what an approximate one
    does not find lowers the scores. Photos that the ground truth does not name
    are left out.

    Args:
        index: holds every photo that the ground truth names.
        queries: (queries, dimension), in the order of the ground truth.
        ground_truth, protocol, top, notes, verify: see `evaluate_descriptors`;
            rankings are as short as the shortest one.

    Raises:
        UserError: a photo is missing, or the index finds none for a query.
    """
    names, listed = ground_truth.database_names, index.names()
    rows = _places_of(names, listed, "database photo")
    column = {listed[row]: place for place, row in enumerate(rows)}
    wanted = min(len(index), max(top, ANSWERS))
    ranks = np.full((len(queries), wanted), -1, np.int32)
    similarities = np.full(ranks.shape, -np.inf, np.float32)
    lengths = np.zeros(len(queries), np.int64)
    for query, matches in enumerate(index.search(queries, wanted)):
        found = [match for match in matches if match.name in column]
        order = np.array([column[match.name] for match in found], np.int64)
        values = np.array([match.similarity for match in found])
        if verify is not None:
            similarity = dict(zip(order, values, strict=True))
            order = verify(query, order)
            values = np.array([similarity[place] for place in order])
        lengths[query] = len(order)
        ranks[query, : len(order)] = order
        similarities[query, : len(order)] = values
    if not lengths.all():
        name = ground_truth.query_names[int(lengths.argmin())]
        raise UserError(
            f"The index finds no photo for the query {name!r}; let it visit "
            "more, for example with --parameter=nprobe=32."
        )
    kept = min(top, int(lengths.min()))
    places = Places.in_rankings(ranks, ground_truth)
    found = Found(places, ranks[:, :kept], similarities[:, :kept])
    return _scored(protocol, found, ground_truth, names, notes)


def query_rows(
    index: DescriptorIndex,
    ground_truth: GroundTruth,
    queries: DescriptorSet | None,
    describe: Callable[[Sequence[str]], np.ndarray],
) -> np.ndarray:
    """Returns the descriptors of the queries of a ground truth, in its order.

    Args:
        index: holds the queries, if they have no descriptors of their own.
        ground_truth: names the queries.
        queries: descriptors of the queries, cropped to their boxes.
        describe: returns the descriptors of photos of an index without any.

    Raises:
        UserError: a query is missing, or is a box without a descriptor.
    """
    wanted = ground_truth.query_names
    if queries is not None:
        return np.asarray(_rows(queries, wanted, "query")[:], np.float32)
    if ground_truth.has_boxes:
        raise UserError(_BOXES)
    listed = index.names()
    names = [listed[row] for row in _places_of(wanted, listed, "query")]
    rows = index.descriptors_of(names)
    return describe(names) if rows is None else rows


def evaluate_feature_index(
    index: FeatureIndex,
    queries: LocalFeatureSet,
    ground_truth: GroundTruth,
    protocol: str = "revisited",
    top: int = 100,
    notes: Sequence[str] = (),
    verify: Verify | None = None,
) -> Evaluation:
    """Ranks the photos of an index of local features and scores the rankings.

    Args:
        index: holds every database photo of the ground truth; others count as
            distractors.
        queries: local features of the queries, of their boxes if they have any.
        ground_truth, protocol, top, notes, verify: see `evaluate_descriptors`.

    Raises:
        UserError: a photo is missing, or the features were made otherwise than
            those of the index.
    """
    find_protocol(protocol)
    check_same_provenance(
        queries.provenance, index.provenance, "the queries", "the index"
    )
    queries.check_has(ground_truth.query_names)
    names = index_names(index, ground_truth)
    place = {name: i for i, name in enumerate(index.names)}
    columns = np.array([place[name] for name in names], np.int64)
    blocks = (
        (query, index.similarities(queries[name])[np.newaxis, columns])
        for query, name in enumerate(ground_truth.query_names)
    )
    found = rank_similarities(
        blocks,
        (len(ground_truth.queries), len(names)),
        ground_truth.queries,
        top,
        verify and (lambda query, row, order: verify(query, order)),
    )
    return _scored(protocol, found, ground_truth, names, notes)


def index_names(index: FeatureIndex, ground_truth: GroundTruth) -> list[str]:
    """Returns the names of the ground truth, then those of distractors.

    Raises:
        UserError: the index lacks a photo of the ground truth.
    """
    present, named = set(index.names), set(ground_truth.database_names)
    missing = [n for n in ground_truth.database_names if n not in present]
    if missing:
        raise UserError(
            f"The index lacks {len(missing)} photos of the ground truth, "
            f"{missing[0]!r} first; add their local features."
        )
    others = [name for name in index.names if name not in named]
    return [*ground_truth.database_names, *others]


def _scored(
    protocol: str,
    found: Found,
    ground_truth: GroundTruth,
    names: Sequence[str],
    notes: Sequence[str],
) -> Evaluation:
    return Evaluation(
        protocol,
        find_protocol(protocol).score(found, ground_truth),
        found.ranks,
        found.similarities,
        ground_truth,
        names,
        notes,
    )


def _rows(
    descriptor_set: DescriptorSet, names: Sequence[str], meaning: str
) -> np.ndarray | SelectedRows:
    """Returns the descriptors of `names`, without a copy."""
    if list(descriptor_set.names) == list(names):
        return descriptor_set.descriptors
    rows = _places_of(names, descriptor_set.names, meaning)
    return SelectedRows(descriptor_set.descriptors, rows)


def _places_of(
    names: Sequence[str], listed: Sequence[str], meaning: str
) -> np.ndarray:
    """Returns the places of `names` among the names that are listed."""
    position = {name: i for i, name in enumerate(listed)}
    missing = [name for name in names if name not in position]
    if missing:
        # A benchmark's "church_1" is "jpg/church_1.jpg" in an index of photos.
        stems = [PurePosixPath(name).stem for name in listed]
        if len(set(stems)) == len(stems):
            position |= {stem: i for i, stem in enumerate(stems)}
            missing = [name for name in names if name not in position]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(names)} {meaning} names of the ground "
            f"truth have no descriptor, {missing[0]!r} first; extract the "
            "split that the ground truth belongs to."
        )
    return np.array([position[name] for name in names], np.int64)
