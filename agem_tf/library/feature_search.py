"""Search of an index of local features, which needs no global descriptors."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from agem_tf.descriptors.local_features import LocalFeatures, LocalFeatureSet
from agem_tf.errors import UserError
from agem_tf.files.provenance import check_same_provenance
from agem_tf.library.answers import Answer
from agem_tf.library.verified_answers import (
    features_of_files,
    query_extractor,
    query_features,
    verify_answer,
)
from agem_tf.photos.boxes import Box
from agem_tf.retrieval.indexes import Match
from agem_tf.retrieval.local_indexes import load_feature_index
from agem_tf.retrieval.nearest import largest_first
from agem_tf.retrieval.reranking import SpatialVerification


class FeatureSearch:
    """An index of local features, and what extracts those of queries.

    Args:
        directory: directory of the index.
        model: export of the network that made the features; not needed for
            those that need no training.
        folder: folder of the indexed photos.
        step: verification of the best photos, if any.
        stored: directory of the local features of the indexed photos, for the
            verification; by default the files of `folder` are read.
        min_similarity: least similarity or number of votes of a photo to be
            found; those of 0 never are.

    Raises:
        UserError: there is no index, or its features can't be made of queries,
            or there is nothing to verify with: neither stored features nor the
            photos.
    """

    def __init__(
        self,
        directory: str,
        model: str | None = None,
        folder: str | None = None,
        step: SpatialVerification | None = None,
        stored: str | None = None,
        min_similarity: float | None = None,
    ):
        self._index = load_feature_index(directory)
        self._names = self._index.names
        self._folder, self._step = folder, step
        self._min_similarity = min_similarity or 0.0
        self._features_of: Callable[[str], LocalFeatures] | None = None
        if step is not None and stored is not None:
            features = LocalFeatureSet.load(stored)
            made = self._index.provenance
            check_same_provenance(features.provenance, made, stored, directory)
            features.check_has(self._names)
            self._features_of = features.__getitem__
        elif step is not None and folder is None:
            raise UserError(
                "An index of local features does not hold what --rerank=verify "
                "compares; give --local_features=DIR or --folder=DIR."
            )
        self._extractor = query_extractor(
            self._index.provenance, directory, model
        )
        if step is not None and self._features_of is None:
            self._features_of = features_of_files(
                self._extractor, folder, self._names
            )

    def answer(self, query: str, top: int, box: Box | None = None) -> Answer:
        """Returns the photos that share local features with a query.

        Args:
            query: path of a photo, or name of an indexed one.
            top: most photos.
            box: x1, y1, x2, y2 in pixels of the upright photo, the part to
                search for.

        Raises:
            UserError: the photo can't be read.
        """
        features = query_features(self._extractor, query, self._folder, box)
        return self._ranked(query, features, top, box)

    def answers(
        self, queries: Sequence[str], top: int, unreadable: list[str]
    ) -> Iterator[Answer]:
        """Yields the answers of queries, and skips those that can't be read.

        Args:
            queries, top: see `answer`.
            unreadable: receives the message about each photo that is skipped.
        """
        for query in queries:
            try:
                features = query_features(
                    self._extractor, query, self._folder, None
                )
            except UserError as error:
                unreadable.append(str(error))
            else:
                yield self._ranked(query, features, top)

    def _ranked(
        self,
        query: str,
        features: LocalFeatures,
        top: int,
        box: Box | None = None,
    ) -> Answer:
        similarities = self._index.similarities(features)
        candidates = 0 if self._step is None else self._step.num_candidates
        most = min(max(top, candidates), len(self._names))
        order = largest_first(similarities[np.newaxis], most)[0][:most]
        found = [
            Match(self._names[photo], float(similarities[photo]))
            for photo in order
            if similarities[photo] > 0
            and similarities[photo] >= self._min_similarity
        ]
        answer = Answer(query, found, box)
        if self._step is None:
            return answer
        return verify_answer(
            answer, features, self._step, self._features_of, top
        )
