"""Whitens or shortens descriptors before they are indexed.

A whitening that was learned on a larger set works best. Without one, a PCA of
the indexed descriptors rotates and truncates them, which nearly keeps their
distances. It does not whiten: a few photos do not show which directions are
noise.
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
    """A whitening, a dimension to keep, both or neither.

    Attributes:
        whitening: whitening to apply, if any.
        dimension: dimension to keep; all by default.
    """

    whitening: LinearWhitening | None = None
    dimension: int | None = None

    @classmethod
    def load(cls, whitening: str | None, dimension: int | None) -> Self:
        """Returns the reduction of two options.

        Args:
            whitening: directory of a whitening, if any.
            dimension: dimension to keep, if not all.

        Raises:
            UserError: the whitening is missing or damaged.
        """
        loaded = (
            LinearWhitening.load(whitening, verify=True) if whitening else None
        )
        return cls(loaded, dimension)

    def check(self, dimension: int, count: int) -> int:
        """Returns the dimension of the reduced descriptors.

        Args:
            dimension: dimension of the descriptors.
            count: number of photos.

        Raises:
            UserError: the dimension to keep is out of range.
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
        """Reduces descriptors in bounded memory.

        Args:
            descriptors: descriptors, possibly mapped from the disk.
            scratch: directory for the reduced descriptors.

        Returns:
            What `LinearWhitening.apply_to` returns, and the whitening, if there
            is one: the given one, or the PCA of these descriptors.

        Raises:
            UserError: the whitening belongs to other descriptors, or has fewer
                dimensions.
        """
        whitening = self.whitening
        if whitening is None and self.dimension is not None:
            whitening = learn_pca(
                descriptors.descriptors, 0.0, descriptors.provenance
            )
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
