"""The check of a recipe's programs on one TPU."""

import dataclasses
import logging
from collections.abc import Iterator, Sequence

from agem_tf.compilation.chips import Topology
from agem_tf.compilation.compiler import Compiler, Costs, Refusal
from agem_tf.compilation.lowering import NotLoweredError, Program
from agem_tf.compilation.roofline import largest_batch

_LOG = logging.getLogger(__name__)

# Compilations that look for the largest batch, beside the recipe's.
_ATTEMPTS = 2


@dataclasses.dataclass(frozen=True)
class LargestBatch:
    """How many units a replica would fit.

    Attributes:
        size: in the program's units.
        compiled: whether that very batch has been compiled; else it is
            extrapolated from others.
    """

    size: int
    compiled: bool


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the compiler says of a program.

    Attributes:
        program: with the recipe's batch.
        answer: its costs, or why it is refused.
        largest: None if the compiler does not say what memory is needed, or if
            the batch needs none beyond what is on the chip.
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
    compile_largest: bool = False,
) -> Iterator[Verdict]:
    """Compiles programs, one after the other.

    Args:
        programs: of one replica.
        topology: what to compile for.
        compiler: does it.
        compile_largest: the largest batch is compiled too, and not only
            extrapolated: up to two more compilations a program.
    """
    for program in programs:
        yield _Check(program, topology, compiler).run(compile_largest)


class _Check:
    def __init__(
        self, program: Program, topology: Topology, compiler: Compiler
    ):
        self._program = program
        self._topology, self._compiler = topology, compiler

    def run(self, compile_largest: bool) -> Verdict:
        program = self._program
        answer = self._compile(program.batch)
        if answer.memory is None:
            return Verdict(program, answer)
        fixed = answer.fixed if isinstance(answer, Costs) else 0.0
        points = [(0, fixed), (program.batch, answer.memory)]
        size = self._extrapolate(points)
        if size is None:
            return Verdict(program, answer)
        largest = LargestBatch(size, compiled=False)
        if compile_largest:
            fits = isinstance(answer, Costs)
            largest = self._compile_largest(size, points, fits)
        return Verdict(program, answer, largest)

    def _compile(self, batch: int) -> Costs | Refusal:
        _LOG.info(
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

    def _extrapolate(self, points: Sequence[tuple[int, float]]) -> int | None:
        return largest_batch(*points[-2:], self._topology.chip.usable_memory)

    def _compile_largest(
        self, size: int, points: list[tuple[int, float]], fits: bool
    ) -> LargestBatch:
        """Compiles what the last two batches promise, until they agree.

        Args:
            size: what they promise.
            points: batches and their memory; the last one is the recipe's.
            fits: whether the recipe's compiles.
        """
        best = None
        for _ in range(_ATTEMPTS):
            if size in dict(points):
                break
            answer = self._compile(size)
            if isinstance(answer, Costs):
                best = size
            if answer.memory is None:
                break
            points.append((size, answer.memory))
            size = self._extrapolate(points) or size
        if best is not None:
            return LargestBatch(best, compiled=True)
        return LargestBatch(size, fits and size == self._program.batch)
