"""Photos compared word by word: ASMK, and ASMK* with one bit per dimension.

The residuals of a photo's features are summed per visual word and normalized;
two photos are compared at the words that they share:

    K(X, Y) = g(X) g(Y) sum over words c of s(V_c(X) . V_c(Y))
    s(u) = u^alpha if u > tau, otherwise 0

g makes K(X, X) = 1. In the binary form V_c is the sign of each dimension,
divided by sqrt(dimension), so that u = 1 - 2 * different bits / dimension.

Reference: Tolias, Avrithis and Jegou, Image Search with Selective Match
Kernels, IJCV 2016 (https://hal.inria.fr/hal-01131898).
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from agem_tf.descriptors.local_features import LocalFeatures
from agem_tf.errors import UserError
from agem_tf.retrieval.local_indexes.codebook import Codebook
from agem_tf.retrieval.local_indexes.feature_index import (
    FeatureIndex,
    FeaturePart,
)
from agem_tf.retrieval.local_indexes.vlad import residual_sums

# As published: exponent, threshold, and words of each feature of a query.
_ALPHA, _TAU, _QUERY_WORDS = 3.0, 0.0, 5
_ENTRIES, _VECTORS = "entries.npy", "vectors.npy"
_BITS_SET = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)


class _Lists(NamedTuple):
    """Location of the entries of a part.

    Attributes:
        starts: (words + 1,) first entry of each word.
        num_words: (photos,) words of each photo.
    """

    starts: np.ndarray
    num_words: np.ndarray


class CodebookIndex(FeatureIndex):
    """Inverted lists, one per word: photos and their residuals there.

    An entry takes 8 bytes and 2 bytes per dimension, or in the binary form one
    bit per dimension.

    Args:
        codebook: the words.
        binary: whether residuals are stored as signs (ASMK*).

    Raises:
        UserError: a binary index of a dimension that is no multiple of 8.
    """

    KIND = "codebook index of local features"
    # Word and photo of each entry, sorted; its residual.
    ARRAYS = (_ENTRIES, _VECTORS)

    def __init__(self, codebook: Codebook, binary: bool):
        super().__init__(codebook.dimension, codebook.provenance)
        if binary and codebook.dimension % 8:
            raise UserError(
                "The binary index needs local features whose dimension is a "
                f"multiple of 8, not {codebook.dimension}; reduce them by "
                "agem_tf.whiten --method=pca, or use --method=asmk."
            )
        self.codebook, self.binary = codebook, binary

    @property
    def num_bytes(self) -> int:
        return sum(
            rows.nbytes for part in self._parts for rows in part.arrays.values()
        )

    def similarities(self, query: LocalFeatures) -> np.ndarray:
        self._check_dimension(query)
        if not len(query) or not len(self):
            return np.zeros(len(self), np.float32)
        words = self.codebook.assign(query.descriptors, _QUERY_WORDS)
        descriptors = np.repeat(query.descriptors, words.shape[1], axis=0)
        occupied, vectors = self._vectors_of(descriptors, words.ravel())
        if self._searchable is None:
            self._searchable = [self._lists_of(part) for part in self._parts]
        found = []
        for part, lists in zip(self._parts, self._searchable, strict=True):
            scores = np.zeros(len(part), np.float64)
            for word, vector in zip(occupied, vectors, strict=True):
                rows = slice(lists.starts[word], lists.starts[word + 1])
                stored = part.arrays[_VECTORS][rows]
                # A photo has one entry per word, so that no index repeats.
                photos = part.arrays[_ENTRIES][rows, 1]
                scores[photos] += self._selected(stored, vector)
            scores /= np.sqrt(np.maximum(lists.num_words, 1) * len(occupied))
            found.append(scores[part.kept].astype(np.float32))
        return np.concatenate(found)

    def _settings(self) -> dict[str, Any]:
        return {"binary": self.binary}

    def _write_learned(self, directory: Path) -> None:
        self.codebook.write_words(directory)

    @classmethod
    def _read_learned(cls, directory: Path, manifest: dict[str, Any]) -> Self:
        provenance = manifest.get("provenance", {})
        codebook = Codebook.read_words(directory, provenance)
        return cls(codebook, manifest.get("binary") is True)

    def _arrays_of(
        self, features: Iterable[LocalFeatures]
    ) -> dict[str, np.ndarray]:
        entries, vectors = [], []
        for photo, each in enumerate(features):
            words = self.codebook.assign(each.descriptors)[:, 0]
            occupied, found = self._vectors_of(each.descriptors, words)
            photos = np.full(len(occupied), photo)
            entries.append(np.column_stack([occupied, photos]))
            vectors.append(found)
        return _sorted(entries, vectors)

    def _fit(
        self, rows: Mapping[str, np.ndarray], photos: int, thoroughly: bool
    ) -> bool:
        entries, vectors = rows[_ENTRIES], rows[_VECTORS]
        width = self.dimension // 8 if self.binary else self.dimension
        bounds = (len(self.codebook), photos)
        return (
            entries.dtype == np.int32
            and entries.ndim == 2
            and entries.shape[1] == 2
            and vectors.dtype == (np.uint8 if self.binary else np.float16)
            and vectors.shape == (len(entries), width)
            and not (thoroughly and (entries < 0).any())
            and not (thoroughly and (entries >= bounds).any())
        )

    def _joined(self, parts: Sequence[FeaturePart]) -> FeaturePart:
        names, entries, vectors = [], [], []
        for part in parts:
            photos = part.arrays[_ENTRIES][:, 1]
            rows = part.kept[photos]
            moved = np.array(part.arrays[_ENTRIES][rows])
            # Photos move up into the places of those that are gone.
            moved[:, 1] = (np.cumsum(part.kept) - 1)[photos[rows]] + len(names)
            entries.append(moved)
            vectors.append(part.arrays[_VECTORS][rows])
            names += part.present
        rows = _sorted(entries, vectors)
        return FeaturePart(names, np.ones(len(names), bool), rows)

    def _lists_of(self, part: FeaturePart) -> _Lists:
        words, photos = part.arrays[_ENTRIES].T
        return _Lists(
            np.searchsorted(words, np.arange(len(self.codebook) + 1)),
            np.bincount(photos, minlength=len(part)),
        )

    def _vectors_of(
        self, descriptors: np.ndarray, words: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        occupied, sums = residual_sums(descriptors, words, self.codebook)
        if self.binary:
            return occupied, np.packbits(sums > 0, axis=1)
        return occupied, sums.astype(np.float16)

    def _selected(self, stored: np.ndarray, vector: np.ndarray) -> np.ndarray:
        """Returns s(u) of the residuals of one word."""
        if self.binary:
            different = _BITS_SET[stored ^ vector].sum(axis=1, dtype=np.int64)
            products = 1 - 2 * different / self.dimension
        else:
            products = stored.astype(np.float32) @ vector.astype(np.float32)
        return np.where(products > _TAU, np.abs(products) ** _ALPHA, 0)


def _sorted(
    entries: Sequence[np.ndarray], vectors: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:
    """Returns the arrays of a part, by word and photo."""
    joined = np.concatenate(entries).astype(np.int32)
    order = np.lexsort(joined.T[::-1])
    return {
        _ENTRIES: joined[order],
        _VECTORS: np.concatenate(vectors)[order],
    }
