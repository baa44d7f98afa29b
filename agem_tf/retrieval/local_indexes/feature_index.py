"""What indexes of local features have in common."""

import abc
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from agem_tf.descriptors.local_features import LocalFeatures, LocalFeatureSet
from agem_tf.errors import UserError
from agem_tf.files.provenance import check_same_provenance


class FeatureIndex(abc.ABC):
    """Photos with local features, ranked for the features of a query.

    Attributes:
        names: one unique name per photo.
        provenance: how the features were made; see `DescriptorSet`.
        dimension: dimension of their descriptors.
    """

    KIND: str

    def __init__(self, dimension: int, provenance: Mapping[str, Any]):
        self.names: list[str] = []
        self.dimension = dimension
        self.provenance = dict(provenance)

    def __len__(self) -> int:
        return len(self.names)

    def add(self, features: LocalFeatureSet) -> int:
        """Adds the photos that the index lacks; returns their number.

        Raises:
            UserError: the features were made otherwise than those of the index,
                or have another dimension.
        """
        check_same_provenance(
            features.provenance,
            self.provenance,
            "the local features",
            "the index",
        )
        self._check_dimension(features)
        present = set(self.names)
        new = [name for name in features.names if name not in present]
        self._append(new, (features[name] for name in new))
        self.names += new
        return len(new)

    def remove(self, names: Sequence[str]) -> int:
        """Removes photos; returns their number.

        Raises:
            UserError: the index has no photo of one of the names.
        """
        place = {name: photo for photo, name in enumerate(self.names)}
        missing = [name for name in names if name not in place]
        if missing:
            raise UserError(
                f"The index has no photo {missing[0]!r}; give names as "
                "searches print them."
            )
        kept = np.ones(len(self.names), bool)
        kept[[place[name] for name in names]] = False
        self._keep(kept)
        self.names = [self.names[photo] for photo in np.flatnonzero(kept)]
        return int((~kept).sum())

    @abc.abstractmethod
    def similarities(self, query: LocalFeatures) -> np.ndarray:
        """Compares a query with every photo.

        Args:
            query: its local features; without any, all similarities are 0.

        Returns:
            (photos,) float32, larger for more similar photos.

        Raises:
            UserError: the features have another dimension.
        """

    @property
    @abc.abstractmethod
    def num_bytes(self) -> int:
        """Number of bytes of the index in memory and on disk."""

    @abc.abstractmethod
    def save(self, directory: str | os.PathLike) -> None:
        """Writes the index as a directory, which is replaced as a whole."""

    @classmethod
    @abc.abstractmethod
    def load(cls, directory: str | os.PathLike) -> Self:
        """Reads what `save` wrote.

        Raises:
            UserError: the directory is missing, damaged or of another kind.
        """

    @abc.abstractmethod
    def _append(
        self, names: Sequence[str], features: Iterable[LocalFeatures]
    ) -> None:
        """Adds photos behind those of the index."""

    @abc.abstractmethod
    def _keep(self, kept: np.ndarray) -> None:
        """Removes the photos where `kept`, (photos,) bool, is False."""

    def _check_dimension(
        self, features: LocalFeatures | LocalFeatureSet
    ) -> None:
        if features.dimension != self.dimension:
            raise UserError(
                f"The index is of local features of {self.dimension} "
                f"dimensions, not {features.dimension}; extract all with the "
                "same settings."
            )
