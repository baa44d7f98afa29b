"""Programs are compiled one after the other, larger batches on demand."""

import pytest

from agem_tf.tpu_check.check import LargestBatch, check
from agem_tf.tpu_check.chips import parse_topology
from agem_tf.tpu_check.compiler import Costs, Refusal
from agem_tf.tpu_check.lowering import NotLoweredError, Program

TOPOLOGY = parse_topology("v5e:2x2")
AVAILABLE = TOPOLOGY.chip.usable_memory


class LinearCompiler:
    """Needs a fixed memory and some for each unit of a batch.

    The module that it gets is the batch in digits.
    """

    def __init__(self, fixed, each, most=None):
        self._fixed, self._each, self._most = fixed, each, most
        self.batches = []

    def compile(self, module, topology):
        assert topology is TOPOLOGY
        batch = int(module)
        self.batches.append(batch)
        memory = self._fixed + self._each * batch
        if memory > AVAILABLE or batch > (self._most or batch):
            return Refusal("too large", memory)
        return Costs(1.0, 2.0, memory)


def run(compiler, batch=4, lower=str, largest=True):
    program = Program("training 64x64", "tuples", 7, batch, lower)
    (verdict,) = check([program], TOPOLOGY, compiler, largest)
    return verdict


def test_a_program_that_compiles_passes():
    compiler = LinearCompiler(0, AVAILABLE / 10)
    verdict = run(compiler, largest=False)
    assert verdict.passed
    assert verdict.largest is None
    assert compiler.batches == [4]


def test_the_largest_batch_is_extrapolated_and_compiled():
    compiler = LinearCompiler(AVAILABLE / 4, AVAILABLE / 100)
    verdict = run(compiler)
    assert verdict.largest == LargestBatch(75, compiled=True)
    assert compiler.batches == [4, 8, 75]


def test_a_batch_that_the_compiler_refuses_after_all_is_only_extrapolated():
    compiler = LinearCompiler(0, AVAILABLE / 100, most=50)
    assert run(compiler).largest == LargestBatch(100, compiled=False)


@pytest.mark.parametrize(("batch", "largest"), [(40, 12), (14, 12)])
def test_of_a_program_that_does_not_fit_a_smaller_batch_may(batch, largest):
    verdict = run(LinearCompiler(0, AVAILABLE / 12.5), batch)
    assert not verdict.passed
    assert verdict.largest == LargestBatch(largest, compiled=True)


def test_a_program_that_tensorflow_can_not_lower_has_no_costs():
    def lower(batch):
        raise NotLoweredError("strings are no numbers")

    verdict = run(LinearCompiler(0, 1), lower=lower)
    assert not verdict.passed
    assert "strings are no numbers" in verdict.answer.reason
    assert verdict.largest is None
