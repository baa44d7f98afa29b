"""Options of geometric verification; importable without an estimator."""

import math
from dataclasses import dataclass

from agem_tf.errors import UserError

MODELS = ("homography", "affine", "fundamental")
ESTIMATORS = ("poselib", "opencv")


def default_estimator(model: str) -> str:
    """Returns the estimator of a model where none is chosen."""
    return "opencv" if model == "affine" else "poselib"


@dataclass(frozen=True)
class GeometryOptions:
    """Options of the geometric verification of matches.

    Attributes:
        model: "homography", "affine" or "fundamental".
        estimator: "poselib" or "opencv". PoseLib has no affine model.
        threshold: largest residual of an inlier, in pixels of photos whose
            longer side is scaled to 1000.
        ratio: see `local_matching.match_features`.
        seed: seed of the random samples.

    Raises:
        UserError: a name is unknown, a number out of range, or the estimator
            lacks the model.
    """

    model: str = "homography"
    estimator: str = "poselib"
    threshold: float = 8.0
    ratio: float = 0.9
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("model", MODELS), ("estimator", ESTIMATORS)):
            if getattr(self, name) not in known:
                raise UserError(
                    f"The {name} must be one of {', '.join(known)}, not "
                    f"{getattr(self, name)!r}."
                )
        if (self.model, self.estimator) == ("affine", "poselib"):
            raise UserError(
                "PoseLib estimates no affine transforms; choose the estimator "
                "opencv or the model homography."
            )
        if not 0 < self.threshold < math.inf:
            raise UserError(
                f"The threshold must be positive, not {self.threshold}."
            )
        if not 0 < self.ratio <= 1:
            raise UserError(f"The ratio must be in (0, 1], not {self.ratio}.")
        if not 0 <= self.seed < 2**31:
            raise UserError(f"The seed must be in [0, 2^31), not {self.seed}.")
