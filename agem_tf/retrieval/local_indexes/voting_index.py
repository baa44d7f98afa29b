"""Features that vote for their photos, through an inverted file of FAISS.

Each feature of a query finds its nearest features among all photos; a photo
has as many votes as features of the query that found it. The features are
stored as codes of product quantization.

Reference: Noh et al., Large-Scale Image Retrieval with Attentive Deep Local
Features, ICCV 2017, section 4.3: 60 neighbours per feature, then geometric
verification (https://arxiv.org/abs/1612.06321).
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from agem_tf.descriptors.local_features import LocalFeatures
from agem_tf.errors import UserError
from agem_tf.retrieval.indexes.inverted_lists import import_faiss
from agem_tf.retrieval.local_indexes.feature_index import (
    FeatureIndex,
    FeaturePart,
)

NEIGHBOURS = 60
# Share of the cells that a query feature looks into.
_PROBED = 1 / 16
# FAISS asks for so many features per cell, and per value of a byte of a code.
_SAMPLE_PER_CENTRE = 39
_TRAINED, _CODES, _COUNTS = "trained.faiss", "codes.npy", "counts.npy"


class VotingIndex(FeatureIndex):
    """Codes of features, photo by photo, which FAISS' inverted file searches.

    Args:
        index: a trained inverted file of FAISS, empty.
        provenance: see `FeatureIndex`.
        neighbours: nearest features that each feature of a query finds.
    """

    KIND = "voting index of local features"
    # Cell and code of each feature; number of features of each photo.
    ARRAYS = (_CODES, _COUNTS)

    def __init__(
        self,
        index: Any,
        provenance: Mapping[str, Any],
        neighbours: int = NEIGHBOURS,
    ):
        super().__init__(index.d, provenance)
        self._trained, self.neighbours = index, neighbours
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
                every four dimensions, or below 10,000 features, which are too
                few to learn such codes from, half precision.
            provenance: see `FeatureIndex`.
            neighbours: see `VotingIndex`.

        Raises:
            UserError: FAISS rejects the string, it names no inverted file, or
                the sample is empty or too small for it.
        """
        if not len(sample):
            raise UserError(
                "No photo has local features to learn from; check the photos "
                "and the settings of their extraction."
            )
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
                "for example IVF1,Flat."
            ) from error
        if not hasattr(index, "nlist"):
            raise UserError(
                f"--factory={factory} is not an inverted file; give one that "
                "begins with IVF, for example IVF256,PQ16."
            )
        return cls(index, provenance or {}, neighbours)

    @property
    def num_bytes(self) -> int:
        features = sum(len(part.arrays[_CODES]) for part in self._parts)
        return features * (int(self._trained.code_size) + 8)

    def similarities(self, query: LocalFeatures) -> np.ndarray:
        self._check_dimension(query)
        votes = np.zeros(len(self), np.float32)
        if not len(query) or not len(self):
            return votes
        if self._searchable is None:
            self._searchable = self._filled()
        rows = np.ascontiguousarray(query.descriptors, np.float32)
        found = self._searchable.search(rows, self.neighbours)[1]
        for photos in found:
            # A feature votes once for a photo.
            votes[np.unique(photos[photos >= 0])] += 1
        return votes

    def _filled(self) -> Any:
        """Returns the inverted file with the features of all photos."""
        filled, first = import_faiss().clone_index(self._trained), 0
        for part in self._parts:
            photos = np.where(part.kept, first + np.cumsum(part.kept) - 1, -1)
            photos = np.repeat(photos, part.arrays[_COUNTS])
            rows = photos >= 0
            codes = np.ascontiguousarray(part.arrays[_CODES][rows])
            try:
                filled.add_sa_codes(codes, photos[rows])
            except RuntimeError as error:
                raise UserError(
                    "A code of the index names a cell that there is not; make "
                    "the index again by agem_tf.aggregate."
                ) from error
            first += int(part.kept.sum())
        return filled

    def _settings(self) -> dict[str, Any]:
        return {"neighbours": self.neighbours}

    def _write_learned(self, directory: Path) -> None:
        path = str(directory / _TRAINED)
        import_faiss().write_index(self._trained, path)

    @classmethod
    def _read_learned(cls, directory: Path, manifest: dict[str, Any]) -> Self:
        try:
            return cls(
                import_faiss().read_index(str(directory / _TRAINED)),
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
                f"{directory / _TRAINED} holds no inverted file; make the "
                "index again."
            ) from error

    def _arrays_of(
        self, features: Iterable[LocalFeatures]
    ) -> dict[str, np.ndarray]:
        codes, counts = [self._no_codes()], []
        for each in features:
            counts.append(len(each))
            if len(each):
                rows = np.ascontiguousarray(each.descriptors, np.float32)
                codes.append(self._trained.sa_encode(rows))
        return {_CODES: np.concatenate(codes), _COUNTS: np.array(counts)}

    def _no_codes(self) -> np.ndarray:
        return np.empty((0, self._trained.sa_code_size()), np.uint8)

    def _fit(
        self, rows: Mapping[str, np.ndarray], photos: int, thoroughly: bool
    ) -> bool:
        codes, counts = rows[_CODES], rows[_COUNTS]
        return (
            counts.dtype == np.int64
            and counts.shape == (photos,)
            and not (counts < 0).any()
            and codes.dtype == np.uint8
            and codes.shape == (counts.sum(), self._no_codes().shape[1])
        )

    def _joined(self, parts: Sequence[FeaturePart]) -> FeaturePart:
        names, codes, counts = [], [], []
        for part in parts:
            rows = np.repeat(part.kept, part.arrays[_COUNTS])
            codes.append(part.arrays[_CODES][rows])
            counts.append(part.arrays[_COUNTS][part.kept])
            names += part.present
        rows = {_CODES: np.concatenate(codes), _COUNTS: np.concatenate(counts)}
        return FeaturePart(names, np.ones(len(names), bool), rows)


def _default_factory(features: int, dimension: int) -> str:
    cells = features / _SAMPLE_PER_CENTRE
    cells = 2 ** int(np.clip(np.log2(max(cells, 1)), 0, 16))
    if features < 256 * _SAMPLE_PER_CENTRE:
        return f"IVF{cells},SQfp16"
    codes = next(n for n in (dimension // 4, 1) if n and dimension % n == 0)
    # Without "np", FAISS also sorts the values of a byte for a filter that is
    # not used here, which took 24 of 28 s of the training of PQ16.
    return f"IVF{cells},PQ{codes}np"
