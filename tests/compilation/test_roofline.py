"""Topologies, the roofline, the largest batch, and the bytes of a program."""

import dataclasses

import pytest

from agem_tf.compilation.roofline import (
    CHIPS,
    largest_batch,
    memory_traffic,
    parse_topology,
    roofline,
)
from agem_tf.errors import UserError

CHIP = dataclasses.replace(
    CHIPS["v5e"], flops_per_second=100.0, bytes_per_second=10.0
)


@pytest.mark.parametrize("name", ["v5e:2x2", "v6e:2x4", "v4:2x2x1"])
def test_a_topology_knows_its_chip(name):
    topology = parse_topology(name)
    assert topology.name == name
    assert topology.chip is CHIPS[name.partition(":")[0]]


@pytest.mark.parametrize("name", ["v5e", "v5e-4", "v9:2x2", "v5e:", "v5e:4"])
def test_another_name_is_refused_with_examples(name):
    with pytest.raises(UserError, match=r"--topology=.*v5e:2x2.*known"):
        parse_topology(name)


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


def test_memory_that_does_not_grow_gives_no_largest_batch():
    assert largest_batch((3, 22), (6, 22), 100) is None


def traffic(*operations, others=""):
    lines = [f"  {operation}" for operation in operations]
    entry = "ENTRY %main.1 (Arg_0.1: f32[8,128]) -> f32[8,128] {"
    return memory_traffic("\n".join([others, entry, *lines, "}"]))


def test_an_operation_reads_its_operands_and_writes_its_result():
    assert traffic(
        "%a = f32[8,128]{1,0:T(8,128)} parameter(0)",
        "%b = bf16[8,128]{1,0:T(8,128)(2,1)} convert("
        "f32[8,128]{1,0:T(8,128)} %a)",
        "ROOT %c = (bf16[8,128]{1,0:T(8,128)(2,1)}) tuple("
        "bf16[8,128]{1,0:T(8,128)(2,1)} %b)",
    ) == 8 * 128 * (4 + 2)


def test_arrays_on_the_chip_are_not_counted():
    assert (
        traffic(
            "%b = bf16[8,128]{1,0:T(8,128)(2,1)S(1)} fusion("
            "f32[8,128]{1,0:T(8,128)} %a, "
            "bf16[8,128]{1,0:T(8,128)(2,1)S(1)} %x), "
            "kind=kLoop, calls=%fused_computation",
        )
        == 8 * 128 * 4
    )


@pytest.mark.parametrize(
    ("array", "num_bytes"),
    [
        ("f32[]{:T(128)}", 4),
        ("f32[3]{0:T(128)}", 128 * 4),
        ("pred[8,100]{1,0:T(8,128)(4,1)}", 8 * 128),
        # 64 channels lie in tiles of 128.
        ("bf16[2,5,5,64]{3,0,2,1:T(8,128)(2,1)}", 8 * 5 * 5 * 128 * 2),
        # 16 photos do, where they are the fastest dimension.
        ("u8[16,6,6,3]{0,3,2,1:T(4,128)(4,1)}", 128 * 6 * 6 * 4),
    ],
)
def test_arrays_are_padded_to_tiles(array, num_bytes):
    assert traffic(f"%r = {array} iota()") == num_bytes


def test_a_transfer_counts_where_it_starts():
    on_chip, in_memory = "f32[8,128]{1,0:S(1)}", "f32[8,128]{1,0}"
    assert (
        traffic(
            f"%s = ({on_chip}, {in_memory}, u32[]{{:S(2)}}) copy-start("
            f"{in_memory} %a)",
            f"%d = {on_chip} copy-done("
            f"({on_chip}, {in_memory}, u32[]{{:S(2)}}) %s)",
        )
        == 8 * 128 * 4
    )


def test_a_slice_reads_no_more_than_it_writes():
    part, whole = "f32[1,128]{1,0:S(1)}", "f32[8,128]{1,0}"
    assert (
        traffic(
            f"%s = (({whole}), {part}, s32[]{{:S(2)}}) slice-start("
            f"{whole} %a), slice={{[1:2], [0:128]}}",
            f"%d = {part} slice-done((({whole}), {part}, s32[]{{:S(2)}}) %s)",
        )
        == 128 * 4
    )


def test_adjacent_parts_are_not_moved():
    assert not traffic(
        "%c = f32[2,128]{1,0} custom-call(f32[1,128]{1,0} %a, "
        'f32[1,128]{1,0} %b), custom_call_target="ConcatBitcast"'
    )


def test_a_loop_moves_what_its_body_moves():
    body = (
        "%body.2 (p: (s32[], f32[8,128])) -> (s32[], f32[8,128]) {\n"
        "  %n = f32[8,128]{1,0} negate(f32[8,128]{1,0} %x)\n}\n"
        "%fused.3 (p: f32[8,128]) -> f32[8,128] {\n"
        "  %n = f32[8,128]{1,0} negate(f32[8,128]{1,0} %x)\n}\n"
    )
    assert (
        traffic(
            "%w = (s32[], f32[8,128]{1,0}) while((s32[], f32[8,128]{1,0}) %t), "
            "condition=%condition.4, body=%body.2",
            others=body,
        )
        == 2 * 8 * 128 * 4
    )


def test_a_conditional_counts_all_branches():
    branches = "".join(
        f"%{name} (p: f32[8]) -> f32[8] {{\n"
        "  %n = f32[8]{0} negate(f32[8]{0} %x)\n}\n"
        for name in ("on.1", "off.2")
    )
    assert (
        traffic(
            "%c = f32[8]{0} conditional(s32[] %i, f32[8]{0} %x, f32[8]{0} %x), "
            'branch_computations={%on.1, %off.2}, metadata={op_name="%other"}',
            others=branches,
        )
        == 2 * 2 * 8 * 4
    )
