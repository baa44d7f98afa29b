"""The least time that a program can take on a chip, and the largest batch.

A roofline knows two limits, the chip's arithmetic and its memory: no program is
faster than the slower of the two allows. Reference: Williams, Waterman and
Patterson, "Roofline: an insightful visual performance model"
(https://doi.org/10.1145/1498765.1498785).
"""

import dataclasses

from agem_tf.compilation.chips import Chip


@dataclasses.dataclass(frozen=True)
class Roofline:
    """The least time of a program.

    Attributes:
        seconds: that a call takes at least.
        bound: "compute" or "memory", which of them takes so long.
        compute_share: what the chip's arithmetic would take, as a share of it.
    """

    seconds: float
    bound: str
    compute_share: float


def roofline(flops: float, num_bytes: float, chip: Chip) -> Roofline:
    """Bounds the time of a program.

    Args:
        flops: floating-point operations of a call, above 0.
        num_bytes: what a call reads and writes.
        chip: where it runs.
    """
    compute = flops / chip.flops_per_second
    memory = num_bytes / chip.bytes_per_second
    seconds = max(compute, memory)
    bound = "compute" if compute >= memory else "memory"
    return Roofline(seconds, bound, compute / seconds)


def largest_batch(
    first: tuple[int, float], second: tuple[int, float], available: float
) -> int | None:
    """Extrapolates the memory of two batches to the largest that fits.

    Args:
        first: batch and bytes of a program; of batch 0, what does not grow.
        second: the same of another batch, of the same program.
        available: bytes of the chip.

    Returns:
        The batch at which the line through both meets `available`, 0 if none
        fits; None if memory does not grow, which it does later.
    """
    (small, few), (large, many) = sorted((first, second))
    slope = (many - few) / (large - small)
    if slope <= 0:
        return None
    return max(0, int(large + (available - many) // slope))
