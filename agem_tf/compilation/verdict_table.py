"""The verdicts on a recipe's programs as text."""

from collections.abc import Sequence

from agem_tf.compilation.chips import Chip
from agem_tf.compilation.compiler import Costs, Target
from agem_tf.compilation.roofline import roofline
from agem_tf.compilation.verdicts import LargestBatch, Verdict
from agem_tf.evaluation.tables import format_table

_GIB = 2**30
WHAT_IT_PROVES = """\
GiB are needed at once. GB are read from the chip's memory and written there.
"Roofline ms" is the slower of the arithmetic at its peak and of these bytes at
the memory's bandwidth. "About" is extrapolated from the recipe's batch;
--largest_batch compiles it.

Nothing ran. This proves that the compiler of a TPU takes the steps of one
replica, and that they fit. It does not prove how long they take, that photos
come in fast enough, or that replicas exchange gradients."""


def describe(target: Target, verdicts: Sequence[Verdict]) -> str:
    """Returns a title, a row for each program, and why some are refused."""
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
    program, answer = verdict.program, verdict.answer
    return {
        "program": program.name,
        "batch": f"{program.batch} {program.unit}",
        "compiles": "yes" if verdict.passed else "no",
        "GiB": _gibibytes(answer.memory),
        **_costs(verdict, chip),
        "largest batch": _largest(verdict.largest),
    }


def _costs(verdict: Verdict, chip: Chip) -> dict[str, str]:
    columns = [
        "GFLOP",
        "GB",
        "roofline ms",
        "bound by",
        "of peak",
        "images/s/chip",
    ]
    costs = verdict.answer
    if not isinstance(costs, Costs):
        return dict.fromkeys(columns, "-")
    least = roofline(costs.flops, costs.bytes, chip)
    photos = verdict.program.batch * verdict.program.photos_per_unit
    values = [
        f"{costs.flops / 1e9:.1f}",
        _number(costs.bytes / 1e9),
        _number(least.seconds * 1e3),
        least.bound,
        f"{100 * least.compute_share:.0f}%",
        f"{photos / least.seconds:.0f}",
    ]
    return dict(zip(columns, values, strict=True))


def _gibibytes(num_bytes: float | None) -> str:
    return "-" if num_bytes is None else _number(num_bytes / _GIB)


def _number(value: float) -> str:
    """Two digits after the point, or two that count."""
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def _largest(largest: LargestBatch | None) -> str:
    if largest is None:
        return "-"
    return f"{'' if largest.compiled else 'about '}{largest.size}"
