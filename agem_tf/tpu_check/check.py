"""The check of a recipe's programs on one TPU."""

import dataclasses
from collections.abc import Iterator, Sequence

from absl import logging

from agem_tf.tpu_check.chips import Topology
from agem_tf.tpu_check.compiler import Compiler, Costs, Refusal
from agem_tf.tpu_check.lowering import NotLoweredError, Program
from agem_tf.tpu_check.roofline import largest_batch


@dataclasses.dataclass(frozen=True)
class LargestBatch:
    """How many units a replica would fit.

    Attributes:
        size: in the program's units.
        compiled: whether that very batch has been compiled; else it is
            extrapolated from smaller ones.
    """

    size: int
    compiled: bool


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the compiler says of a program.

    Attributes:
        program: with the recipe's batch.
        answer: its costs, or why it is refused.
        largest: None if not asked for, or if two batches don't tell.
    """

    program: Program
    answer: Costs | Refusal
    largest: LargestBatch | None = None

    @property
    def passed(self) -> bool:
        """Whether the program compiles, which it does only if it fits."""
        return isinstance(self.answer, Costs)


def check(
    programs: Sequence[Program],
    topology: Topology,
    compiler: Compiler,
    with_largest_batch: bool = False,
) -> Iterator[Verdict]:
    """Compiles programs, one after the other.

    Args:
        programs: of one replica.
        topology: what to compile for.
        compiler: does it.
        with_largest_batch: also look for it, which takes up to two more
            compilations a program.
    """
    for program in programs:
        yield _Check(program, topology, compiler).run(with_largest_batch)


class _Check:
    def __init__(
        self, program: Program, topology: Topology, compiler: Compiler
    ):
        self._program = program
        self._topology, self._compiler = topology, compiler

    def run(self, with_largest_batch: bool) -> Verdict:
        program = self._program
        answer = self._compile(program.batch)
        largest = None
        if with_largest_batch and _memory(answer) is not None:
            largest = self._largest(answer)
        return Verdict(program, answer, largest)

    def _compile(self, batch: int) -> Costs | Refusal:
        logging.info(
            "Compiling %s with %d %s a replica for %s",
            self._program.name,
            batch,
            self._program.unit,
            self._topology.name,
        )
        try:
            module = self._program.lower(batch)
        except NotLoweredError as error:
            return Refusal(f"TensorFlow does not lower it: {error}", None)
        return self._compiler.compile(module, self._topology)

    def _largest(self, answer: Costs | Refusal) -> LargestBatch | None:
        """Extrapolates from the recipe's batch and another, then compiles."""
        batch = self._program.batch
        other = batch * 2 if isinstance(answer, Costs) else max(1, batch // 2)
        memory = _memory(self._compile(other))
        if memory is None or other == batch:
            return None
        size = largest_batch(
            (batch, _memory(answer)),
            (other, memory),
            self._topology.chip.usable_memory,
        )
        compiled = size > 0 and isinstance(self._compile(size), Costs)
        return LargestBatch(size, compiled)


def _memory(answer: Costs | Refusal) -> float | None:
    return answer.memory
