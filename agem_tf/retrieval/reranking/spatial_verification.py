"""Spatial verification: the best photos are ordered by their inliers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from agem_tf.descriptors.local_features import LocalFeatures
from agem_tf.retrieval.geometry_options import (
    GeometryOptions,
    default_estimator,
)
from agem_tf.retrieval.photo_geometry import verify
from agem_tf.retrieval.reranking.steps import check_positive


@dataclass(frozen=True)
class SpatialVerification:
    """Orders the N best photos of a query by the number of inliers.

    Photos of equal numbers keep their order, and so do those of fewer inliers
    than `min_inliers`, which arise by chance. It needs local features and is
    always the last step.

    Args:
        num_candidates: N, the number of photos verified.
        min_inliers: fewest inliers that count.
        model: transform between the photos; see `GeometryOptions`.
        threshold: largest residual of an inlier; see `GeometryOptions`.

    Raises:
        ValueError: a number is not positive, or the model is unknown.
    """

    num_candidates: int = 100
    min_inliers: int = 8
    model: str = "homography"
    threshold: float = GeometryOptions.threshold

    def __post_init__(self) -> None:
        check_positive(
            num_candidates=self.num_candidates,
            min_inliers=self.min_inliers,
            threshold=self.threshold,
        )
        self.geometry  # noqa: B018, checks the model.

    @property
    def geometry(self) -> GeometryOptions:
        """Options of the geometric verification."""
        estimator = default_estimator(self.model)
        return GeometryOptions(self.model, estimator, self.threshold)

    def reorder(
        self,
        query: LocalFeatures,
        features_of: Callable[[int], LocalFeatures],
        order: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Re-ranks the order of one query.

        Args:
            query: features of the query.
            features_of: returns the features of a database photo.
            order: (photos,) database indices, best first.

        Returns:
            The new order, and (num_candidates or fewer,) numbers of inliers of
            its first photos.
        """
        best, rest = np.split(order, [self.num_candidates])
        inliers = np.array(
            [
                verify(query, features_of(photo), self.geometry).num_inliers
                for photo in best
            ],
            np.int64,
        )
        counted = np.where(inliers < self.min_inliers, 0, inliers)
        by_inliers = np.argsort(-counted, kind="stable")
        return np.concatenate([best[by_inliers], rest]), inliers[by_inliers]
