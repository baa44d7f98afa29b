"""The least time of a program, and the batch that memory allows."""

import dataclasses

import pytest

from agem_tf.compilation.chips import CHIPS
from agem_tf.compilation.roofline import largest_batch, roofline

CHIP = dataclasses.replace(
    CHIPS["v5e"], flops_per_second=100.0, bytes_per_second=10.0
)


@pytest.mark.parametrize(
    ("flops", "num_bytes", "seconds", "bound", "share"),
    [(200, 5, 2.0, "compute", 1.0), (100, 40, 4.0, "memory", 0.25)],
)
def test_the_slower_of_arithmetic_and_memory_bounds(
    flops, num_bytes, seconds, bound, share
):
    least = roofline(flops, num_bytes, CHIP)
    assert least.seconds == pytest.approx(seconds)
    assert least.bound == bound
    assert least.compute_share == pytest.approx(share)


def test_the_largest_batch_continues_the_line_of_two():
    # 4 bytes a unit and 10 for weights: 22 units take 98.
    assert largest_batch((3, 22), (5, 30), 100) == 22
    assert largest_batch((5, 30), (3, 22), 98) == 22


def test_the_largest_batch_may_be_smaller_than_both_or_none():
    assert largest_batch((30, 130), (60, 250), 51) == 10
    assert largest_batch((3, 22), (5, 30), 9) == 0


def test_memory_that_does_not_grow_tells_nothing():
    assert largest_batch((3, 22), (6, 22), 100) is None
