"""Bytes that a compiled program moves, counted in its text."""

import pytest

from agem_tf.compilation.traffic import memory_traffic


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


def test_what_stays_on_the_chip_does_not_count():
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


def test_parts_that_lie_side_by_side_are_not_moved():
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


def test_a_choice_counts_all_of_its_branches():
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
