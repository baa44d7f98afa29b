"""From descriptor sets to scores: the one way in which photos are ranked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.errors import UserError
from agem_tf.evaluation.choice import PROTOCOLS, check_protocol
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.places import search
from agem_tf.files.provenance import check_same_provenance
from agem_tf.files.rows import SelectedRows, StackedRows
from agem_tf.retrieval.nearest import NotFiniteError
from agem_tf.retrieval.reranking import Reorder

# Photos of each ranking that are kept; Google Landmarks v2 scores a hundred.
TOP = 100

# (queries, database) -> both after re-ranking by descriptors, and what then
# re-ranks the order of a query; see `search.reranking.transform`.
Rerank = Callable[
    [np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, Reorder | None]
]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores and the best photos of each query.

    Attributes:
        protocol: name of the protocol.
        scores: what its function returned; of "revisited" Easy, Medium and
            Hard.
        ranks: (queries, top) int32 indices of `database_names`, best first.
        similarities: (queries, top) float32 dot products of those photos.
        ground_truth: that was asked.
        database_names: its photos, then the distractors.
        notes: sentences that belong beside every score of the dataset.
    """

    protocol: str
    scores: Any
    ranks: np.ndarray
    similarities: np.ndarray
    ground_truth: GroundTruth
    database_names: Sequence[str]
    notes: Sequence[str] = ()

    def similarity(self, query: int, photo: int) -> float:
        """Dot product of a query and one of its best photos."""
        place = np.flatnonzero(self.ranks[query] == photo)[0]
        return float(self.similarities[query, place])


def evaluate_descriptors(
    database: DescriptorSet,
    ground_truth: GroundTruth,
    queries: DescriptorSet | None = None,
    distractors: DescriptorSet | None = None,
    protocol: str = "revisited",
    rerank: Rerank | None = None,
    top: int = TOP,
    notes: Sequence[str] = (),
) -> Evaluation:
    """Searches the database for every query and scores what is found.

    Args:
        database: has a descriptor of each database photo, in any order.
        ground_truth: names the photos and the queries.
        queries: descriptors of the query photos, cropped to their boxes; by
            default the queries are looked up in the database, which is right
            where they have no boxes.
        distractors: photos that answer no query, such as the million of
            revisited Oxford and Paris; they are put behind the database.
        protocol: a name of `choice.PROTOCOLS`.
        rerank: changes descriptors and orders; by default photos are ranked by
            the dot products of the descriptors as they are.
        top: photos kept of each ranking, all of a smaller database.
        notes: sentences that belong beside every score of the dataset.

    Raises:
        UserError: a photo has no descriptor, or one that is not finite; the
            sets were made differently; or the queries have boxes but no
            descriptors of their own.
    """
    check_protocol(protocol)
    query_rows, database_rows, names = _gather(
        database, ground_truth, queries, distractors
    )
    reorder = None
    try:
        if rerank is not None:
            query_rows, database_rows, reorder = rerank(
                query_rows, database_rows
            )
        found = search(
            query_rows, database_rows, ground_truth.queries, top, reorder
        )
    except NotFiniteError as error:
        raise _named(error, ground_truth.query_names, names) from error
    return Evaluation(
        protocol,
        PROTOCOLS[protocol](found, ground_truth),
        found.ranks,
        found.similarities,
        ground_truth,
        names,
        notes,
    )


def _gather(
    database: DescriptorSet,
    ground_truth: GroundTruth,
    queries: DescriptorSet | None,
    distractors: DescriptorSet | None,
) -> tuple[np.ndarray, np.ndarray, Sequence[str]]:
    """Rows of the queries and of the database, and the names of the latter."""
    if queries is None:
        _check_no_boxes(ground_truth)
        queries = database
    _check_provenance(queries, database, "the queries")
    names = ground_truth.database_names
    query_rows = _rows(queries, ground_truth.query_names, "query")
    database_rows = _rows(database, names, "database photo")
    if distractors is None:
        return query_rows, database_rows, names
    _check_provenance(distractors, database, "the distractors")
    return (
        query_rows,
        StackedRows([database_rows, distractors.descriptors]),
        [*names, *distractors.names],
    )


def _rows(
    descriptor_set: DescriptorSet, names: Sequence[str], meaning: str
) -> np.ndarray | SelectedRows:
    """The descriptors of `names`, without a copy."""
    if list(descriptor_set.names) == list(names):
        return descriptor_set.descriptors
    position = {name: i for i, name in enumerate(descriptor_set.names)}
    missing = [name for name in names if name not in position]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(names)} {meaning} names of the ground "
            f"truth have no descriptor, {missing[0]!r} first; extract the "
            "split that the ground truth belongs to."
        )
    rows = np.array([position[name] for name in names], np.int64)
    return SelectedRows(descriptor_set.descriptors, rows)


def _check_no_boxes(ground_truth: GroundTruth) -> None:
    if ground_truth.has_boxes:
        raise UserError(
            "The queries of this ground truth are boxes in photos; extract "
            "them with --queries and give both descriptor sets."
        )


def _check_provenance(
    other: DescriptorSet, database: DescriptorSet, other_name: str
) -> None:
    check_same_provenance(
        other.provenance, database.provenance, other_name, "the database"
    )


def _named(
    error: NotFiniteError, queries: Sequence[str], database: Sequence[str]
) -> UserError:
    names = queries if error.role == "query" else database
    return UserError(
        f"The descriptor of {error.role} photo {names[error.row]!r} holds NaN "
        "or infinite values; check that photo and the weights of the model, "
        "and extract it again."
    )
