"""Shorter or whiter descriptors, for an index that takes less room.

A whitening that was learned elsewhere serves best. Without one, a PCA of the
indexed descriptors themselves turns and cuts them, which keeps distances; it
does not whiten, for few photos can't tell which directions are noise.
"""

import dataclasses
import pathlib
from typing import Self

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.descriptors.whitening_learning import learn_pca
from agem_tf.errors import UserError
from agem_tf.files.provenance import check_same_provenance
from agem_tf.files.rows import write_rows
from agem_tf.retrieval import nearest


@dataclasses.dataclass(frozen=True)
class Reduction:
    """What is done to descriptors before they are indexed.

    Attributes:
        whitening: to apply, if any.
        dimension: to keep; all by default.
    """

    whitening: LinearWhitening | None = None
    dimension: int | None = None

    @classmethod
    def load(cls, whitening: str | None, dimension: int | None) -> Self:
        """Loads the whitening from its directory, if there is one.

        Raises:
            UserError: it is missing or damaged.
        """
        loaded = (
            LinearWhitening.load(whitening, verify=True) if whitening else None
        )
        return cls(loaded, dimension)

    def __bool__(self) -> bool:
        """Whether anything is done."""
        return self.whitening is not None or self.dimension is not None

    def check(self, dimension: int, count: int) -> int:
        """Returns what becomes of a dimension.

        Args:
            dimension: of the descriptors.
            count: of the photos.

        Raises:
            UserError: so many dimensions can't be had.
        """
        if self.whitening is not None:
            return self.whitening.output_dimension(self.dimension)
        if self.dimension is None:
            return dimension
        most = min(dimension, count - 1)
        if not 1 <= self.dimension <= most:
            raise UserError(
                f"{count} photos with descriptors of {dimension} dimensions "
                f"can be reduced to at most {most}. Received: "
                f"--dimension={self.dimension}"
            )
        return self.dimension

    def apply(
        self, descriptors: DescriptorSet, scratch: pathlib.Path
    ) -> tuple[DescriptorSet, LinearWhitening | None]:
        """Reduces descriptors, if anything is to be done; they stay on disk.

        Args:
            descriptors: to reduce.
            scratch: directory for the reduced ones.

        Returns:
            What `LinearWhitening.apply_to` returns, and the whitening, if there
            is one: the given one, or the PCA of these descriptors.

        Raises:
            UserError: the whitening is of other descriptors, or has fewer
                dimensions.
        """
        whitening = self._learn(descriptors)
        if whitening is None:
            return descriptors, None
        check_same_provenance(
            whitening.provenance,
            descriptors.provenance,
            "the whitening",
            "the descriptors",
        )
        blocks = (
            whitening.apply(block, self.dimension)
            for _, block in nearest.row_blocks(descriptors.descriptors)
        )
        dimension = whitening.output_dimension(self.dimension)
        rows = write_rows(scratch / "reduced.npy", blocks, dimension)
        label = whitening.label(self.dimension)
        provenance = {**descriptors.provenance, "whitening": label}
        return DescriptorSet(descriptors.names, rows, provenance), whitening

    def _learn(self, descriptors: DescriptorSet) -> LinearWhitening | None:
        if self.whitening is not None or self.dimension is None:
            return self.whitening
        return learn_pca(descriptors.descriptors, 0.0, descriptors.provenance)
