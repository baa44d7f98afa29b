"""Programs are compiled one after the other, larger batches on demand."""

import pytest

from agem_tf.compilation.chips import parse_topology
from agem_tf.compilation.compiler import Costs, Refusal
from agem_tf.compilation.lowering import NotLoweredError, Program
from agem_tf.compilation.verdicts import LargestBatch, check

TOPOLOGY = parse_topology("v5e:2x2")
AVAILABLE = TOPOLOGY.chip.usable_memory


class StandIn:
    """A compiler for which a batch takes a share of the chip's memory.

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
    (verdict,) = check([program], TOPOLOGY, compiler, largest)
    return verdict


def test_a_program_that_compiles_passes_and_tells_of_larger_batches():
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


def test_a_batch_of_which_the_compiler_dies_is_only_extrapolated():
    compiler = StandIn(lambda batch: 0.25 + 0.02 * batch, most=20)
    assert run(compiler).largest == LargestBatch(37, compiled=False)


@pytest.mark.parametrize("largest", [False, True])
def test_a_batch_that_stays_on_the_chip_tells_of_no_larger_one(largest):
    compiler = StandIn(lambda batch: 0.25)
    verdict = run(compiler, largest=largest)
    assert verdict.passed
    assert verdict.largest is None
    assert compiler.batches == [4]


@pytest.mark.parametrize(("batch", "largest"), [(40, 12), (14, 12)])
def test_of_a_program_that_does_not_fit_a_smaller_batch_may(batch, largest):
    verdict = run(StandIn(lambda batch: batch / 12.5), batch)
    assert not verdict.passed
    assert verdict.largest == LargestBatch(largest, compiled=True)


@pytest.mark.parametrize("largest", [False, True])
def test_that_nothing_fits_is_extrapolated_and_not_compiled(largest):
    compiler = StandIn(lambda batch: 2.0 * batch)
    verdict = run(compiler, batch=1, largest=largest)
    assert verdict.largest == LargestBatch(0, compiled=False)
    assert compiler.batches == [1]


def test_a_program_that_tensorflow_can_not_lower_has_no_costs():
    def lower(batch):
        raise NotLoweredError("strings are no numbers")

    verdict = run(StandIn(lambda batch: 0.0), lower=lower)
    assert not verdict.passed
    assert "strings are no numbers" in verdict.answer.reason
    assert verdict.largest is None
