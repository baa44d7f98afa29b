"""Local features of any origin, read from one .npz file per photo."""

import os
import pathlib
from collections.abc import Iterator

import numpy as np

from agem_tf.descriptors.local_features import (
    LocalFeatures,
    LocalFeatureSet,
    LocalFeatureWriter,
)
from agem_tf.errors import UserError
from agem_tf.files.arrays import load_arrays

_SUFFIX = ".npz"
_REMEDY = "write it again with numpy.savez"


def import_features(
    folder: str | os.PathLike, directory: str | os.PathLike, origin: str
) -> LocalFeatureSet:
    """Writes a set of local features from the .npz files of a folder.

    The features of the photo `a/b.jpg` are in `a/b.jpg.npz`, as `numpy.savez`
    writes them, with the arrays of `LocalFeatures`: keypoints (n, 2), x and y
    in pixels of the photo whose first pixel has its centre at 0; descriptors
    (n, d), which are L2-normalized here; size, height and width of the photo;
    and scores (n,) and scales (n,).

    Args:
        folder: Folder of the files.
        directory: Directory to write the set to; an older set is replaced.
        origin: Name of what made the features. Sets of one name are compared.

    Raises:
        UserError: There is no such file, one is damaged or lacks an array, or
            two have descriptors of different dimensions.
    """
    root = pathlib.Path(folder)
    paths = sorted(root.rglob(f"*{_SUFFIX}"))
    if not paths:
        raise UserError(
            f"No {_SUFFIX} file in {folder}; give the folder of the features."
        )
    names = [
        path.relative_to(root).as_posix().removesuffix(_SUFFIX)
        for path in paths
    ]
    photos = _read(paths)
    first = next(photos)
    provenance = {
        "model": origin,
        "image": None,
        "scales": None,
        "whitening": None,
    }
    with LocalFeatureWriter(
        directory, names, first.dimension, provenance
    ) as writer:
        writer.write(first)
        for path, features in zip(paths[1:], photos, strict=True):
            if features.dimension != first.dimension:
                raise UserError(
                    f"{path} has descriptors of {features.dimension} "
                    f"dimensions, and {paths[0]} of {first.dimension}; import "
                    "features of one kind."
                )
            writer.write(features)
    return LocalFeatureSet.load(directory)


def _read(paths: list[pathlib.Path]) -> Iterator[LocalFeatures]:
    names = ("keypoints", "descriptors", "scores", "scales", "size")
    for path in paths:
        arrays = load_arrays(path, names, _REMEDY)
        texts = [name for name in names if arrays[name].dtype.kind in "SU"]
        if texts:
            raise UserError(
                f"{texts[0]} of {path} must be numbers, not texts; {_REMEDY}."
            )
        size = arrays["size"]
        if size.shape != (2,) or not (np.isfinite(size) & (size > 0)).all():
            raise UserError(
                f"size of {path} must be height and width in pixels. Received: "
                f"{size}"
            )
        try:
            found = LocalFeatures(**arrays)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
        # Squares of values above 1e19 overflow in float32, and those of values
        # below 1e-23 vanish.
        rows = np.asarray(found.descriptors, np.float64)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        yield LocalFeatures(
            found.keypoints,
            rows / np.where(lengths > 0, lengths, 1),
            found.scores,
            found.scales,
            found.size,
        )
