"""Search of an exact index through steps of re-ranking.

The steps are those of `agem_tf.evaluate`, except for the local features of
`verified_answers`. They change the order; the similarities of the photos stay
those of the query itself, which thresholds and votes are about.
"""

from collections.abc import Collection, Sequence

import numpy as np

from agem_tf.errors import UserError
from agem_tf.files.rows import SelectedRows
from agem_tf.retrieval.indexes import (
    DescriptorIndex,
    Match,
    check_all_descriptors,
)
from agem_tf.retrieval.reranking import PreparedReranking, Step

# The neighbours of every photo of more would take minutes before a search.
_MOST_COMPARED = 50_000


class RerankedSearch:
    """An index whose part of re-ranking is prepared.

    Args:
        index: the index.
        steps: result of `parse_rerank`, without verification.
        among: names of the photos that may be found; all by default.

    Raises:
        UserError: the index is not exact, it has more photos than a step can
            compare with each other, or fewer than it needs.
    """

    def __init__(
        self,
        index: DescriptorIndex,
        steps: Sequence[Step],
        among: Collection[str] | None = None,
    ):
        check_all_descriptors(index)
        self._names, rows = index.names(), index.descriptors
        if among is not None:
            places = [i for i, n in enumerate(self._names) if n in among]
            self._names = [self._names[place] for place in places]
            rows = SelectedRows(rows, np.array(places, np.int64))
        self._rows = rows
        if len(rows) > _MOST_COMPARED:
            for step in steps:
                if step.compares_all:
                    raise UserError(
                        f"{type(step).__name__} compares every photo with "
                        f"every other one, which for {len(rows)} takes too "
                        f"long at a search; give qe or superglobal, or --where "
                        f"for at most {_MOST_COMPARED} photos."
                    )
        # A filter that no photo passes leaves nothing to prepare.
        self._prepared = PreparedReranking(rows, steps) if len(rows) else None

    def search(self, queries: np.ndarray, top: int) -> list[list[Match]]:
        """Returns the first photos of each query after re-ranking.

        Args:
            queries: (queries, dimension).
            top: number of photos per query, or all of fewer.

        Raises:
            UserError: a descriptor is not finite.
        """
        if self._prepared is None:
            return [[] for _ in queries]
        ranks = self._prepared.rank(queries, top)
        return [
            [
                Match(self._names[place], float(similarity))
                for place, similarity in zip(
                    order,
                    np.asarray(self._rows[order], np.float32) @ query,
                    strict=True,
                )
            ]
            for query, order in zip(queries, ranks, strict=True)
        ]
