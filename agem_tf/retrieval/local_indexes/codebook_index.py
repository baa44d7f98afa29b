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

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from agem_tf.descriptors.local_features import LocalFeatures
from agem_tf.errors import UserError
from agem_tf.files import arrays
from agem_tf.files.atomic_writing import atomic_directory
from agem_tf.files.manifest import read_manifest, write_manifest
from agem_tf.retrieval.local_indexes.codebook import Codebook
from agem_tf.retrieval.local_indexes.feature_index import FeatureIndex
from agem_tf.retrieval.local_indexes.vlad import residual_sums

# As published: exponent, threshold, and words of each feature of a query.
_ALPHA, _TAU, _QUERY_WORDS = 3.0, 0.0, 5
_ENTRIES, _VECTORS, _NAMES = "entries.npy", "vectors.npy", "names.txt"
_BITS_SET = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)


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

    def __init__(self, codebook: Codebook, binary: bool):
        super().__init__(codebook.dimension, codebook.provenance)
        if binary and codebook.dimension % 8:
            raise UserError(
                "The binary index needs local features whose dimension is a "
                f"multiple of 8, not {codebook.dimension}; reduce them by "
                "agem_tf.whiten --method=pca, or use --method=asmk."
            )
        self.codebook, self.binary = codebook, binary
        width = codebook.dimension // 8 if binary else codebook.dimension
        # Word and photo of each entry, sorted.
        self._entries = np.empty((0, 2), np.int32)
        self._vectors = np.empty((0, width), np.uint8 if binary else np.float16)
        self._index_entries()

    @property
    def num_bytes(self) -> int:
        return self._entries.nbytes + self._vectors.nbytes

    def similarities(self, query: LocalFeatures) -> np.ndarray:
        self._check_dimension(query)
        scores = np.zeros(len(self), np.float64)
        if not len(query) or not len(self):
            return scores.astype(np.float32)
        words = self.codebook.assign(query.descriptors, _QUERY_WORDS)
        descriptors = np.repeat(query.descriptors, words.shape[1], axis=0)
        occupied, vectors = self._vectors_of(descriptors, words.ravel())
        for word, vector in zip(occupied, vectors, strict=True):
            rows = slice(self._starts[word], self._starts[word + 1])
            # A photo has one entry per word, so that no index repeats.
            scores[self._entries[rows, 1]] += self._selected(rows, vector)
        scores /= np.sqrt(np.maximum(self._num_words, 1) * len(occupied))
        return scores.astype(np.float32)

    def save(self, directory: str | os.PathLike) -> None:
        with atomic_directory(directory, self.KIND) as temporary:
            self.codebook.write_words(temporary)
            arrays.write_array(temporary / _ENTRIES, self._entries)
            arrays.write_array(temporary / _VECTORS, self._vectors)
            arrays.write_names(temporary / _NAMES, self.names)
            write_manifest(
                temporary,
                self.KIND,
                binary=self.binary,
                provenance=self.provenance,
            )

    @classmethod
    def load(cls, directory: str | os.PathLike) -> Self:
        directory = Path(directory)
        manifest = read_manifest(directory, cls.KIND)
        provenance = manifest.get("provenance", {})
        codebook = Codebook.read_words(directory, provenance)
        index = cls(codebook, manifest.get("binary") is True)
        index.names = arrays.read_names(directory / _NAMES)
        entries = arrays.load_array(directory / _ENTRIES, mmap=True)
        vectors = arrays.load_array(directory / _VECTORS, mmap=True)
        fits = (
            entries.dtype == np.int32
            and entries.ndim == 2
            and entries.shape[1] == 2
            and vectors.dtype == index._vectors.dtype
            and vectors.shape == (len(entries), index._vectors.shape[1])
            and len(set(index.names)) == len(index.names)
        )
        bounds = (len(codebook), len(index.names))
        if not fits or (entries < 0).any() or (entries >= bounds).any():
            raise UserError(
                f"The files of {directory} do not belong together; make the "
                "index again."
            )
        index._entries, index._vectors = entries, vectors
        index._index_entries()
        return index

    def _append(
        self, names: Sequence[str], features: Iterable[LocalFeatures]
    ) -> None:
        entries, vectors = [self._entries], [self._vectors]
        for photo, each in enumerate(features, len(self.names)):
            words = self.codebook.assign(each.descriptors)[:, 0]
            occupied, found = self._vectors_of(each.descriptors, words)
            entries.append(
                np.column_stack(
                    [occupied, np.full(len(occupied), photo)]
                ).astype(np.int32)
            )
            vectors.append(found)
        self._entries, self._vectors = map(np.concatenate, (entries, vectors))
        self._index_entries(len(self.names) + len(names))

    def _keep(self, kept: np.ndarray) -> None:
        rows = kept[self._entries[:, 1]]
        self._entries = np.array(self._entries[rows])
        self._vectors = np.array(self._vectors[rows])
        # Photos move up into the places of those that are gone.
        self._entries[:, 1] = (np.cumsum(kept) - 1)[self._entries[:, 1]]
        self._index_entries(int(kept.sum()))

    def _index_entries(self, photos: int | None = None) -> None:
        """Sorts the entries by word and photo, and counts them."""
        words, numbers = self._entries.T
        order = np.lexsort((numbers, words))
        if not (order == np.arange(len(order))).all():
            self._entries = self._entries[order]
            self._vectors = self._vectors[order]
        places = np.arange(len(self.codebook) + 1)
        self._starts = np.searchsorted(self._entries[:, 0], places)
        photos = len(self.names) if photos is None else photos
        self._num_words = np.bincount(self._entries[:, 1], minlength=photos)

    def _vectors_of(
        self, descriptors: np.ndarray, words: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        occupied, sums = residual_sums(descriptors, words, self.codebook)
        if self.binary:
            return occupied, np.packbits(sums > 0, axis=1)
        return occupied, sums.astype(np.float16)

    def _selected(self, rows: slice, vector: np.ndarray) -> np.ndarray:
        """Returns s(u) for the entries of one word."""
        stored = self._vectors[rows]
        if self.binary:
            different = _BITS_SET[stored ^ vector].sum(axis=1, dtype=np.int64)
            products = 1 - 2 * different / self.dimension
        else:
            products = stored.astype(np.float32) @ vector.astype(np.float32)
        return np.where(products > _TAU, np.abs(products) ** _ALPHA, 0)
