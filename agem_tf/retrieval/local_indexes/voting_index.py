"""Features that vote for their photos, through an inverted file of FAISS.

Each feature of a query finds its nearest features among all photos; a photo
has as many votes as features of the query that found it. The features are
stored as codes of product quantization.

Reference: Noh et al., Large-Scale Image Retrieval with Attentive Deep Local
Features, ICCV 2017, section 4.3: 60 neighbours per feature, then geometric
verification (https://arxiv.org/abs/1612.06321).
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from agem_tf.descriptors.local_features import LocalFeatures
from agem_tf.errors import UserError
from agem_tf.files import arrays
from agem_tf.files.atomic_writing import atomic_directory
from agem_tf.files.manifest import read_manifest, write_manifest
from agem_tf.retrieval.indexes.faiss_index import import_faiss
from agem_tf.retrieval.local_indexes.feature_index import FeatureIndex

NEIGHBOURS = 60
# Share of the cells that a query feature looks into.
_PROBED = 1 / 16
_VECTORS, _NUMBERS, _NAMES = "features.faiss", "numbers.npy", "names.txt"


class VotingIndex(FeatureIndex):
    """Codes of features, each with the number of its photo.

    Numbers are not used again after a photo is removed.

    Args:
        index: a trained inverted file of FAISS.
        provenance: see `FeatureIndex.provenance`.
        neighbours: nearest features that each feature of a query finds.
    """

    KIND = "voting index of local features"

    def __init__(
        self,
        index: Any,
        provenance: Mapping[str, Any],
        neighbours: int = NEIGHBOURS,
    ):
        super().__init__(index.d, provenance)
        self._index, self.neighbours = index, neighbours
        # Numbers of the photos, rising.
        self._numbers = np.empty(0, np.int64)
        index.nprobe = max(1, round(index.nlist * _PROBED))

    @classmethod
    def learn(
        cls,
        sample: np.ndarray,
        factory: str | None = None,
        provenance: Mapping[str, Any] | None = None,
        neighbours: int = NEIGHBOURS,
    ) -> Self:
        """Trains an empty index.

        Args:
            sample: (descriptors, dimension) float32.
            factory: FAISS' factory string of an inverted file; by default 1
                to 65536 cells by the size of the sample, and one byte for
                every four dimensions.
            provenance: see `FeatureIndex.provenance`.
            neighbours: see `VotingIndex`.

        Raises:
            UserError: FAISS rejects the string, it names no inverted file, or
                the sample is too small for it.
        """
        faiss = import_faiss()
        dimension = sample.shape[1]
        factory = factory or _default_factory(*sample.shape)
        try:
            index = faiss.index_factory(dimension, factory)
            index.train(np.ascontiguousarray(sample, np.float32))
        except RuntimeError as error:
            raise UserError(
                f"FAISS can't train {factory!r} with {len(sample)} local "
                f"features of {dimension} dimensions; give another --factory, "
                "for example IVF64,Flat."
            ) from error
        if not hasattr(index, "nlist"):
            raise UserError(
                f"--factory={factory} is not an inverted file; give one that "
                "begins with IVF, for example IVF256,PQ16."
            )
        return cls(index, provenance or {}, neighbours)

    @property
    def num_bytes(self) -> int:
        return int(self._index.ntotal) * (int(self._index.code_size) + 8)

    def similarities(self, query: LocalFeatures) -> np.ndarray:
        self._check_dimension(query)
        votes = np.zeros(len(self), np.float32)
        if not len(query) or not len(self):
            return votes
        rows = np.ascontiguousarray(query.descriptors, np.float32)
        found = self._index.search(rows, self.neighbours)[1]
        for numbers in found:
            # A feature votes once for a photo.
            numbers = np.unique(numbers[numbers >= 0])
            votes[np.searchsorted(self._numbers, numbers)] += 1
        return votes

    def save(self, directory: str | os.PathLike) -> None:
        with atomic_directory(directory, self.KIND) as temporary:
            import_faiss().write_index(self._index, str(temporary / _VECTORS))
            arrays.write_array(temporary / _NUMBERS, self._numbers)
            arrays.write_names(temporary / _NAMES, self.names)
            write_manifest(
                temporary,
                self.KIND,
                neighbours=self.neighbours,
                provenance=self.provenance,
            )

    @classmethod
    def load(cls, directory: str | os.PathLike) -> Self:
        directory = Path(directory)
        manifest = read_manifest(directory, cls.KIND, verify=True)
        try:
            index = import_faiss().read_index(str(directory / _VECTORS))
            loaded = cls(
                index,
                manifest.get("provenance", {}),
                int(manifest["neighbours"]),
            )
        except (
            RuntimeError,
            AttributeError,
            KeyError,
            TypeError,
            ValueError,
        ) as error:
            raise UserError(
                f"{directory / _VECTORS} holds no inverted file; make the "
                "index again."
            ) from error
        loaded.names = arrays.read_names(directory / _NAMES)
        loaded._numbers = arrays.load_array(directory / _NUMBERS)
        if loaded._numbers.shape != (len(loaded.names),):
            raise UserError(
                f"The files of {directory} do not belong together; make the "
                "index again."
            )
        return loaded

    def _append(
        self, names: Sequence[str], features: Iterable[LocalFeatures]
    ) -> None:
        first = int(self._numbers[-1]) + 1 if len(self._numbers) else 0
        numbers = np.arange(first, first + len(names))
        for number, each in zip(numbers, features, strict=True):
            if len(each):
                self._index.add_with_ids(
                    np.ascontiguousarray(each.descriptors, np.float32),
                    np.full(len(each), number),
                )
        self._numbers = np.concatenate([self._numbers, numbers])

    def _keep(self, kept: np.ndarray) -> None:
        self._index.remove_ids(self._numbers[~kept])
        self._numbers = self._numbers[kept]


def _default_factory(features: int, dimension: int) -> str:
    # FAISS asks for 39 features per cell.
    cells = 2 ** int(np.clip(np.log2(max(features / 39, 1)), 0, 16))
    codes = next(n for n in (dimension // 4, 1) if n and dimension % n == 0)
    return f"IVF{cells},PQ{codes}"
