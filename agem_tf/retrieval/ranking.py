"""Rankings of a database for each query, in memory and on disk."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from agem_tf.errors import UserError
from agem_tf.files import arrays
from agem_tf.files.atomic_writing import atomic_directory
from agem_tf.files.manifest import read_manifest, write_manifest
from agem_tf.files.provenance import normalize_provenance

KIND = "ranking"
_ARRAY = "ranks.npy"
_QUERIES = "query_names.txt"
_DATABASE = "database_names.txt"


@dataclass(eq=False)
class Ranking:
    """Database indices for each query, best first.

    Attributes:
        ranks: (queries, database photos or fewer) integer indices. Rankings
            may be truncated, all to the same length.
        query_names: names of the queries, one per row.
        database_names: names of the database photos.
        provenance: provenance of the descriptors, with the re-ranking.
    """

    ranks: np.ndarray
    query_names: Sequence[str]
    database_names: Sequence[str]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.query_names = arrays.check_names(self.query_names, "query names")
        self.database_names = arrays.check_names(
            self.database_names, "database names"
        )
        self.provenance = normalize_provenance(self.provenance)
        self.ranks = np.asanyarray(self.ranks)
        queries, size = len(self.query_names), len(self.database_names)
        if self.ranks.ndim != 2 or len(self.ranks) != queries:
            raise UserError(
                f"ranks must have one row for each of {queries} queries. "
                f"Received: shape {self.ranks.shape}"
            )
        if not np.issubdtype(self.ranks.dtype, np.integer):
            raise UserError(
                f"ranks must be integers. Received: {self.ranks.dtype}"
            )
        outside = (self.ranks < 0) | (self.ranks >= size)
        if outside.any() or self.ranks.shape[1] > size:
            raise UserError(
                f"ranks must be indices of {size} database photos, each at "
                f"most once. Received: shape {self.ranks.shape}, values up to "
                f"{self.ranks.max()}"
            )

    def save(self, directory: str | os.PathLike) -> None:
        """Writes ranks.npy, two lists of names and manifest.json."""
        with atomic_directory(directory) as temporary:
            arrays.write_array(temporary / _ARRAY, self.ranks)
            arrays.write_names(temporary / _QUERIES, self.query_names)
            arrays.write_names(temporary / _DATABASE, self.database_names)
            write_manifest(temporary, KIND, provenance=self.provenance)

    @classmethod
    def load(cls, directory: str | os.PathLike, verify: bool = False) -> Self:
        """Reads what `save` wrote.

        Raises:
            UserError: the directory is missing, damaged or of another kind.
        """
        directory = Path(directory)
        manifest = read_manifest(directory, KIND, verify)
        return cls(
            arrays.load_array(directory / _ARRAY),
            arrays.read_names(directory / _QUERIES),
            arrays.read_names(directory / _DATABASE),
            manifest.get("provenance", {}),
        )
