"""Verdicts on programs: batches that are compiled, and rows of the table."""

import dataclasses

import pytest

from agem_tf.compilation.compiler import Costs, Refusal, Target
from agem_tf.compilation.lowering import NotLoweredError, Program
from agem_tf.compilation.roofline import parse_topology
from agem_tf.compilation.verdicts import (
    LargestBatch,
    Verdict,
    compile_programs,
    format_verdicts,
)

TOPOLOGY = parse_topology("v5e:2x2")
AVAILABLE = TOPOLOGY.chip.usable_memory
GIB = 2**30
TRAINING = Program("training 64x96", "tuples", 7, 5, str)


class StandIn:
    """A compiler for which a batch needs a share of the chip's memory.

    The module that it gets is the batch in digits.
    """

    def __init__(self, share, most=None):
        self._share, self._most = share, most
        self.batches = []

    def compile(self, module, topology):
        assert topology is TOPOLOGY
        batch = int(module)
        self.batches.append(batch)
        memory = AVAILABLE * self._share(batch)
        if batch > (self._most or batch):
            return Refusal("it ended with status -6", None)
        if memory > AVAILABLE:
            return Refusal("too large", memory)
        return Costs(1.0, 2.0, memory, AVAILABLE * self._share(0))


def run(compiler, batch=4, lower=str, largest=True):
    program = Program("training 64x64", "tuples", 7, batch, lower)
    (verdict,) = compile_programs([program], TOPOLOGY, compiler, largest)
    return verdict


def test_a_program_that_compiles_passes_with_its_largest_batch():
    compiler = StandIn(lambda batch: 0.25 + 0.02 * batch)
    verdict = run(compiler, largest=False)
    assert verdict.passed
    assert verdict.largest == LargestBatch(37, compiled=False)
    assert compiler.batches == [4]


@pytest.mark.parametrize(
    ("share", "batches"),
    [
        pytest.param(lambda batch: 0.25 + 0.02 * batch, [4, 37], id="line"),
        pytest.param(lambda batch: batch / 4.5, [4], id="no room for more"),
        pytest.param(
            lambda batch: min(0.0199 * batch, 0.5 + 0.0095 * batch),
            [4, 50, 51],
            id="more fits than it seemed",
        ),
        pytest.param(
            lambda batch: max(0.0199 * batch, 0.05 * batch - 1.0),
            [4, 50, 33],
            id="less fits than it seemed",
        ),
    ],
)
def test_the_largest_batch_is_compiled_if_asked_for(share, batches):
    compiler = StandIn(share)
    assert run(compiler).largest == LargestBatch(batches[-1], compiled=True)
    assert compiler.batches == batches


@pytest.mark.parametrize("compiled", [False, True])
def test_the_largest_batch_divides_into_the_accumulated_parts(compiled):
    compiler = StandIn(lambda batch: 0.25 + 0.02 * batch)
    program = Program("training 64x64", "tuples", 7, 8, str, multiple=4)
    (verdict,) = compile_programs([program], TOPOLOGY, compiler, compiled)
    assert verdict.largest == LargestBatch(36, compiled)
    assert all(batch % 4 == 0 for batch in compiler.batches)


def test_a_batch_that_crashes_the_compiler_is_only_extrapolated():
    compiler = StandIn(lambda batch: 0.25 + 0.02 * batch, most=20)
    assert run(compiler).largest == LargestBatch(37, compiled=False)


@pytest.mark.parametrize("largest", [False, True])
def test_a_batch_that_stays_on_the_chip_gives_no_larger_one(largest):
    compiler = StandIn(lambda batch: 0.25)
    verdict = run(compiler, largest=largest)
    assert verdict.passed
    assert verdict.largest is None
    assert compiler.batches == [4]


@pytest.mark.parametrize(("batch", "largest"), [(40, 12), (14, 12)])
def test_a_smaller_batch_of_a_program_may_fit(batch, largest):
    verdict = run(StandIn(lambda batch: batch / 12.5), batch)
    assert not verdict.passed
    assert verdict.largest == LargestBatch(largest, compiled=True)


@pytest.mark.parametrize("largest", [False, True])
def test_a_largest_batch_of_0_is_not_compiled(largest):
    compiler = StandIn(lambda batch: 2.0 * batch)
    verdict = run(compiler, batch=1, largest=largest)
    assert verdict.largest == LargestBatch(0, compiled=False)
    assert compiler.batches == [1]


def test_a_program_that_can_not_be_lowered_is_refused():
    def lower(batch):
        raise NotLoweredError("strings are no numbers")

    verdict = run(StandIn(lambda batch: 0.0), lower=lower)
    assert not verdict.passed
    assert "strings are no numbers" in verdict.answer.reason
    assert verdict.largest is None


def table(*verdicts):
    return format_verdicts(Target(TOPOLOGY, "libtpu 1", 4), verdicts)


def test_a_row_has_what_a_roofline_says():
    # 1.97 TFLOP take 10 ms of 197 TFLOP/s, 16.38 GB 20 ms of 819 GB/s.
    costs = Costs(flops=1.97e12, bytes=16.38e9, memory=3 * GIB, fixed=GIB)
    text = table(Verdict(TRAINING, costs, LargestBatch(26, compiled=True)))
    row = next(line for line in text.splitlines() if "training 64x96" in line)
    assert row.split()[1:6] == ["64x96", "5", "tuples", "yes", "3.00"]
    # 35 images in 20 ms, half of which the arithmetic takes.
    costs = ["1970.0", "16.38", "20.00", "memory", "50%", "1750"]
    assert row.split()[6:] == [*costs, "26"]


def test_the_rate_of_a_step_in_parts_is_that_of_a_part():
    # The compiler counts the body of the loop over parts once.
    costs = Costs(flops=1.97e12, bytes=1.0, memory=3 * GIB, fixed=GIB)
    parts = dataclasses.replace(TRAINING, multiple=5)
    row = next(
        line
        for line in table(Verdict(parts, costs)).splitlines()
        if "training 64x96" in line
    )
    # 7 images in 10 ms.
    assert row.split()[11] == "700"


def test_the_title_cites_the_chip():
    text = table(Verdict(TRAINING, Costs(1.0, 1.0, 1.0, 1.0)))
    assert "https://cloud.google.com/tpu/docs/v5e" in text
    assert "v5e:2x2, 4 replica(s), compiled by libtpu 1" in text


@pytest.mark.parametrize(("memory", "cell"), [(20 * GIB, "20.00"), (None, "-")])
def test_a_refused_program_has_its_reason(memory, cell):
    text = table(Verdict(TRAINING, Refusal("too large, says libtpu", memory)))
    row = next(line for line in text.splitlines() if "5 tuples" in line)
    assert row.split()[4:6] == ["no", cell]
    assert "training 64x96: too large, says libtpu" in text


def test_an_extrapolated_batch_is_marked():
    verdict = Verdict(
        TRAINING, Costs(1.0, 1.0, 1.0, 1.0), LargestBatch(26, compiled=False)
    )
    assert "about 26" in table(verdict)


def test_small_numbers_keep_two_digits():
    text = table(Verdict(TRAINING, Costs(1.97e6, 81.9e3, GIB / 200, GIB)))
    row = next(line for line in text.splitlines() if "5 tuples" in line)
    assert row.split()[5:9] == ["0.005", "0.0", "8.2e-05", "0.0001"]
