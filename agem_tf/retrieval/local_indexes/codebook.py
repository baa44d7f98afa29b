"""Codebooks: the visual words that local descriptors are assigned to."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from agem_tf.descriptors.local_features import LocalFeatureSet
from agem_tf.errors import UserError
from agem_tf.files import arrays
from agem_tf.files.atomic_writing import atomic_directory
from agem_tf.files.manifest import read_manifest, write_manifest
from agem_tf.files.provenance import check_same_provenance
from agem_tf.retrieval.indexes.inverted_lists import import_faiss

KIND = "codebook"
_WORDS = "words.npy"
_ROUNDS = 25
# Fewest descriptors per word from which FAISS learns without a warning.
_LEAST_SAMPLE = 39
# Products held at a time by the assignment: 64 MiB.
_BLOCK_VALUES = 2**24


@dataclass(eq=False)
class Codebook:
    """Centres of a k-means clustering.

    Attributes:
        words: (words, dimension) float32.
        provenance: how the features were made that it was learned from.
    """

    words: np.ndarray
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.words = np.asarray(self.words, np.float32)
        if self.words.ndim != 2 or not self.words.size:
            raise UserError(
                "A codebook needs words of shape (words, dimension). "
                f"Received: {self.words.shape}"
            )
        with np.errstate(over="ignore"):
            self._squares = np.square(self.words).sum(axis=1)
        if not np.isfinite(self._squares).all():
            raise UserError(
                "A word of the codebook is NaN, infinite or too large."
            )

    def __len__(self) -> int:
        return len(self.words)

    @property
    def dimension(self) -> int:
        """Dimension of the words."""
        return self.words.shape[1]

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that identify the words."""
        return hashlib.sha256(self.words.tobytes()).hexdigest()[:12]

    @classmethod
    def learn(
        cls,
        sample: np.ndarray,
        words: int,
        seed: int = 0,
        provenance: Mapping[str, Any] | None = None,
    ) -> Self:
        """Clusters descriptors by FAISS' k-means.

        Args:
            sample: (descriptors, dimension) float32.
            words: number of words, at least 1.
            seed: seed of the first centres.
            provenance: see `Codebook.provenance`.

        Raises:
            UserError: there are fewer than 39 descriptors per word.
        """
        needed, most = _LEAST_SAMPLE * words, len(sample) // _LEAST_SAMPLE
        if len(sample) < needed:
            remedy = (
                f"ask for at most {most} words" if most else "give more photos"
            )
            raise UserError(
                f"{words} words need at least {needed} local features to "
                f"learn from, and there are {len(sample)}; {remedy}."
            )
        means = import_faiss().Kmeans(
            sample.shape[1], words, niter=_ROUNDS, seed=seed
        )
        means.train(np.ascontiguousarray(sample, np.float32))
        return cls(means.centroids, dict(provenance or {}))

    def check_fits(self, features: LocalFeatureSet) -> None:
        """Checks that features are of the kind that the words are.

        Raises:
            UserError: they were made otherwise, or have another dimension.
        """
        check_same_provenance(
            features.provenance,
            self.provenance,
            "the local features",
            "the codebook",
        )
        if features.dimension != self.dimension:
            raise UserError(
                f"The codebook is of {self.dimension} dimensions, the local "
                f"features have {features.dimension}; learn another codebook."
            )

    def assign(self, descriptors: np.ndarray, count: int = 1) -> np.ndarray:
        """Finds the nearest words of descriptors.

        Args:
            descriptors: (descriptors, dimension).
            count: number of words per descriptor, at most all.

        Returns:
            (descriptors, count) int64, nearest first.
        """
        count = min(count, len(self))
        rows = max(1, _BLOCK_VALUES // len(self))
        found = np.empty((len(descriptors), count), np.int64)
        for start in range(0, len(descriptors), rows):
            block = np.asarray(descriptors[start : start + rows], np.float32)
            # Squared distances, less the square that a row has in common.
            distances = self._squares - 2 * (block @ self.words.T)
            nearest = np.argpartition(distances, count - 1, axis=1)[:, :count]
            order = np.take_along_axis(distances, nearest, 1).argsort(axis=1)
            found[start : start + rows] = np.take_along_axis(nearest, order, 1)
        return found

    def save(self, directory: str | os.PathLike) -> None:
        """Writes the codebook as a directory."""
        with atomic_directory(directory, KIND) as temporary:
            self.write_words(temporary)
            write_manifest(temporary, KIND, provenance=self.provenance)

    @classmethod
    def load(cls, directory: str | os.PathLike) -> Self:
        """Reads what `save` wrote.

        Raises:
            UserError: the directory is missing, damaged or of another kind.
        """
        manifest = read_manifest(Path(directory), KIND)
        return cls.read_words(Path(directory), manifest.get("provenance", {}))

    def write_words(self, directory: Path) -> None:
        """Writes the file of the words."""
        arrays.write_array(directory / _WORDS, self.words)

    @classmethod
    def read_words(cls, directory: Path, provenance: Mapping[str, Any]) -> Self:
        """Reads the file of the words.

        Raises:
            UserError: it is missing or holds something else.
        """
        words = arrays.load_array(directory / _WORDS)
        if words.dtype != np.float32:
            raise UserError(
                f"{directory / _WORDS} holds no words; make its directory "
                "again."
            )
        return cls(words, provenance)
