"""Verdicts of the TPU compiler on a recipe's programs, and their table."""

import dataclasses
import logging
from collections.abc import Callable, Iterator, Sequence

from agem_tf.compilation.compiler import Compiler, Costs, Refusal, Target
from agem_tf.compilation.lowering import NotLoweredError, Program
from agem_tf.compilation.roofline import (
    Chip,
    Topology,
    largest_batch,
    roofline,
)
from agem_tf.evaluation.tables import format_table

_LOG = logging.getLogger(__name__)

# Compilations in search of the largest batch, after that of the recipe's batch.
_ATTEMPTS = 2
_GIB = 2**30
# Columns of a program that compiles.
_COSTS = ("GFLOP", "GB", "roofline ms", "bound by", "of peak", "images/s/chip")

WHAT_IT_PROVES = """\
GiB is the memory needed at once, GB what is read from the chip's memory and
written to it. "Roofline ms" is the slower of the arithmetic at its peak and of
these bytes at the memory's bandwidth. "About" is extrapolated from the recipe's
batch; --largest_batch compiles it. Of a step in parts
(`training.accumulate_steps`), arithmetic, bytes and time are those of one part.

Nothing was run. This proves that the compiler of a TPU accepts the steps of one
replica, and that they fit. It does not prove how long they take, that photos
are read fast enough, or that replicas exchange gradients."""


@dataclasses.dataclass(frozen=True)
class LargestBatch:
    """Largest batch that fits on a replica.

    Attributes:
        size: Size in the program's units.
        compiled: Whether this batch was compiled; otherwise it is extrapolated
            from others.
    """

    size: int
    compiled: bool


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Result of compiling a program.

    Attributes:
        program: The program, with the recipe's batch.
        answer: Its costs, or why it is refused.
        largest: Largest batch that fits; None if the compiler does not say how
            much memory is needed, or if memory does not grow with the batch.
    """

    program: Program
    answer: Costs | Refusal
    largest: LargestBatch | None = None

    @property
    def passed(self) -> bool:
        """Whether the program compiles; it does so only if it fits."""
        return isinstance(self.answer, Costs)


def compile_programs(
    programs: Sequence[Program],
    topology: Topology,
    compiler: Compiler,
    compile_largest: bool = False,
) -> Iterator[Verdict]:
    """Compiles programs, one after the other.

    Args:
        programs: Programs of one replica.
        topology: The chips to compile for.
        compiler: The compiler.
        compile_largest: Compile the largest batch instead of extrapolating it,
            with up to two more compilations per program.
    """
    for program in programs:

        def compile_batch(batch: int, program: Program = program):
            _LOG.info(
                "Compiling %s with %d %s per replica for %s",
                program.name,
                batch,
                program.unit,
                topology.name,
            )
            try:
                module = program.lower(batch)
            except NotLoweredError as error:
                reason = f"TensorFlow does not lower it: {error}"
                return Refusal(reason, None)
            return compiler.compile(module, topology)

        answer = compile_batch(program.batch)
        if answer.memory is None:
            yield Verdict(program, answer)
            continue
        fits = isinstance(answer, Costs)
        points = [
            (0, answer.fixed if fits else 0.0),
            (program.batch, answer.memory),
        ]
        available = topology.chip.usable_memory
        size = _largest_multiple(program, points, available)
        if size is None:
            yield Verdict(program, answer)
            continue
        largest = LargestBatch(size, compiled=False)
        if compile_largest:
            largest = _compile_largest(
                program, compile_batch, size, points, available, fits
            )
        yield Verdict(program, answer, largest)


def _largest_multiple(
    program: Program, points: Sequence[tuple[int, float]], available: float
) -> int | None:
    """Returns `largest_batch` of two points, as a batch of the program."""
    size = largest_batch(*points, available)
    return size and size - size % program.multiple


def _compile_largest(
    program: Program,
    compile_batch: Callable[[int], Costs | Refusal],
    size: int,
    points: list[tuple[int, float]],
    available: float,
    fits: bool,
) -> LargestBatch:
    """Compiles the batch extrapolated from the last two, until they agree.

    Args:
        program: The program.
        compile_batch: Compiles it with a batch.
        size: The first batch to compile.
        points: Batches and their memory; the last one is the recipe's.
        available: Bytes of the chip.
        fits: Whether the recipe's batch compiles.
    """
    recipe_batch, best = points[-1][0], None
    for _ in range(_ATTEMPTS):
        if size in dict(points):
            break
        answer = compile_batch(size)
        if isinstance(answer, Costs):
            best = size
        if answer.memory is None:
            break
        points.append((size, answer.memory))
        size = _largest_multiple(program, points[-2:], available) or size
    if best is not None:
        return LargestBatch(best, compiled=True)
    return LargestBatch(size, fits and size == recipe_batch)


def format_verdicts(target: Target, verdicts: Sequence[Verdict]) -> str:
    """Returns a title, one row per program, and the reasons of refusals."""
    chip = target.topology.chip
    title = (
        f"{target.topology.name}, {target.replicas} replica(s), compiled by "
        f"{target.compiler}\n"
        f"A chip has {chip.flops_per_second / 1e12:.0f} TFLOP/s in bfloat16, "
        f"{chip.bytes_per_second / 1e9:.0f} GB/s and "
        f"{chip.published_memory / _GIB:.0f} GB of memory\n({chip.url}), of "
        f"which a program gets {chip.usable_memory / _GIB:.2f} GiB."
    )
    rows = [_row(verdict, chip) for verdict in verdicts]
    reasons = [
        f"{verdict.program.name}: {verdict.answer.reason}"
        for verdict in verdicts
        if not verdict.passed
    ]
    return "\n".join([title, "", format_table(rows), *reasons])


def _row(verdict: Verdict, chip: Chip) -> dict[str, str]:
    program, answer, largest = verdict.program, verdict.answer, verdict.largest
    row = {
        "program": program.name,
        "batch": f"{program.batch} {program.unit}",
        "compiles": "yes" if verdict.passed else "no",
        "GiB": "-" if answer.memory is None else _number(answer.memory / _GIB),
    } | dict.fromkeys(_COSTS, "-")
    if isinstance(answer, Costs):
        least = roofline(answer.flops, answer.bytes, chip)
        # The compiler counts the body of a loop once, whatever its rounds.
        photos = program.batch // program.multiple * program.photos_per_unit
        values = [
            f"{answer.flops / 1e9:.1f}",
            _number(answer.bytes / 1e9),
            _number(least.seconds * 1e3),
            least.bound,
            f"{100 * least.compute_share:.0f}%",
            f"{photos / least.seconds:.0f}",
        ]
        row |= zip(_COSTS, values, strict=True)
    row["largest batch"] = "-"
    if largest:
        about = "" if largest.compiled else "about "
        row["largest batch"] = f"{about}{largest.size}"
    return row


def _number(value: float) -> str:
    """Formats with two digits after the point, or two significant ones."""
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"
