"""Linear whitening of descriptors in NumPy.

`layers.Whitening` is the same in Keras.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.errors import UserError
from agem_tf.files.arrays import load_arrays
from agem_tf.files.atomic_writing import atomic_directory
from agem_tf.files.locations import as_location
from agem_tf.files.manifest import read_manifest, write_manifest
from agem_tf.files.provenance import (
    check_same_provenance,
    normalize_provenance,
)
from agem_tf.files.rows import joined_rows

KIND = "whitening"
METHODS = ("pca", "learned")
_ARRAYS = "whitening.npz"
_REMEDY = "learn the whitening again"
_BLOCK = 2048
_EPSILON = 1e-6


@dataclass(eq=False)
class LinearWhitening:
    """y = P (x - m), then L2 normalization.

    Attributes:
        mean: m, (dimension,) float64.
        projection: P, (output dimension, dimension) float64; its first rows
            alone give a shorter descriptor.
        kind: "pca" or "learned".
        provenance: Provenance of the descriptors that it was learned from.
    """

    mean: np.ndarray
    projection: np.ndarray
    kind: str
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("mean", "projection"):
            values = np.asarray(getattr(self, name))
            if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
                raise ValueError(
                    f"`{name}` must hold finite real numbers. Received: "
                    f"{values.dtype}"
                )
            setattr(self, name, np.asarray(values, np.float64))
        self.provenance = normalize_provenance(self.provenance)
        if self.kind not in METHODS:
            raise ValueError(
                f"`kind` must be one of {METHODS}. Received: kind={self.kind!r}"
            )
        fits = self.mean.ndim == 1 and self.projection.ndim == 2
        if not fits or self.projection.shape[1] != self.mean.size:
            raise ValueError(
                "`projection` must be (output dimension, dimension) and "
                f"`mean` (dimension,). Received: {self.projection.shape} and "
                f"{self.mean.shape}"
            )

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that identify mean and projection."""
        digest = hashlib.sha256(self.mean.tobytes())
        digest.update(np.ascontiguousarray(self.projection).data)
        return digest.hexdigest()[:12]

    def label(self, dimension: int | None = None) -> str:
        """Returns the provenance's entry for descriptors whitened by this.

        Raises:
            UserError: the dimension does not fit.
        """
        kept = self.output_dimension(dimension)
        return f"{self.kind} {self.fingerprint} {kept}"

    def output_dimension(self, dimension: int | None = None) -> int:
        """Returns `dimension`, or by default that of the whole projection.

        Raises:
            UserError: the projection has fewer rows.
        """
        available = len(self.projection)
        if dimension is None:
            return available
        if not 1 <= dimension <= available:
            raise UserError(
                f"The whitening gives 1 to {available} dimensions. Received: "
                f"dimension={dimension}"
            )
        return dimension

    def apply(
        self, descriptors: np.ndarray, dimension: int | None = None
    ) -> np.ndarray:
        """Whitens, shortens and normalizes.

        Args:
            descriptors: (photos, dimension).
            dimension: Length of the results; by default all rows of the
                projection are used.

        Returns:
            (photos, output dimension) float32 of unit length; see
            `joined_rows`.

        Raises:
            UserError: a dimension does not fit.
        """
        projection = self.projection[: self.output_dimension(dimension)]
        if descriptors.ndim != 2 or descriptors.shape[1] != self.mean.size:
            raise UserError(
                f"The whitening needs descriptors of {self.mean.size} "
                f"dimensions. Received: shape {descriptors.shape}"
            )
        shape = len(descriptors), len(projection)
        blocks = self._whitened_blocks(descriptors, projection)
        return joined_rows(blocks, shape)

    def apply_to(
        self, descriptor_set: DescriptorSet, dimension: int | None = None
    ) -> DescriptorSet:
        """Whitens a descriptor set, and adds the whitening to its provenance.

        Raises:
            UserError: the set was made by another model, with other image
                settings, or is whitened already; or a dimension does not fit.
        """
        check_same_provenance(
            self.provenance,
            descriptor_set.provenance,
            "the whitening",
            "the descriptors",
        )
        whitened = self.apply(descriptor_set.descriptors, dimension)
        provenance = {
            **descriptor_set.provenance,
            "whitening": self.label(dimension),
        }
        return replace(
            descriptor_set, descriptors=whitened, provenance=provenance
        )

    def _whitened_blocks(
        self, descriptors: np.ndarray, projection: np.ndarray
    ) -> Iterator[np.ndarray]:
        for start in range(0, len(descriptors), _BLOCK):
            rows = descriptors[start : start + _BLOCK].astype(np.float64)
            whitened = _l2_normalize((rows - self.mean) @ projection.T)
            yield whitened.astype(np.float32)

    def save(self, directory: str | os.PathLike) -> None:
        """Writes whitening.npz and manifest.json."""
        with atomic_directory(directory) as temporary:
            np.savez(
                temporary / _ARRAYS, mean=self.mean, projection=self.projection
            )
            write_manifest(
                temporary, KIND, method=self.kind, provenance=self.provenance
            )

    @classmethod
    def load(cls, directory: str | os.PathLike, verify: bool = False) -> Self:
        """Reads what `save` wrote.

        Raises:
            UserError: the directory is missing, damaged or of another kind.
        """
        directory = as_location(directory, "--whitening")
        manifest = read_manifest(directory, KIND, verify)
        path = directory / _ARRAYS
        arrays = load_arrays(path, ("mean", "projection"), _REMEDY)
        try:
            return cls(
                **arrays,
                kind=manifest["method"],
                provenance=manifest["provenance"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path} does not fit its manifest ({error}); {_REMEDY}."
            ) from error


def _l2_normalize(rows: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / (norms + _EPSILON)
