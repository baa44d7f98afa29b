"""TPU chips, and what bounds the time and the batch of a program on them.

A roofline has two limits, the chip's arithmetic and its memory: no program is
faster than the slower of the two allows. Reference: Williams, Waterman and
Patterson, "Roofline: an insightful visual performance model"
(https://doi.org/10.1145/1498765.1498785).
"""

import dataclasses
import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from agem_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Chip:
    """One chip of a TPU, on which one replica runs.

    Attributes:
        name: Name, for example "v5e".
        flops_per_second: Published peak in bfloat16. It also holds for float32,
            which a TPU multiplies in one pass of bfloat16 by default.
        bytes_per_second: Published bandwidth of the memory.
        published_memory: Published bytes of memory.
        usable_memory: Bytes that the compiler leaves to a program, as in its
            message when a program is too large (libtpu 0.0.10).
        url: Source of the published figures.
        configuration: Configuration of the compiler. Both cores of a v4 are one
            device for TensorFlow; for the compiler only as "megacore".
    """

    name: str
    flops_per_second: float
    bytes_per_second: float
    published_memory: float
    usable_memory: float
    url: str
    configuration: str = ""


_GIB = 2.0**30
_DOCUMENTATION = "https://cloud.google.com/tpu/docs/"

CHIPS = {
    chip.name: chip
    for chip in (
        Chip(
            "v4",
            flops_per_second=275e12,
            bytes_per_second=1200e9,
            published_memory=32 * _GIB,
            usable_memory=30.75 * _GIB,
            url=f"{_DOCUMENTATION}v4",
            configuration="megacore",
        ),
        Chip(
            "v5e",
            flops_per_second=197e12,
            bytes_per_second=819e9,
            published_memory=16 * _GIB,
            usable_memory=15.75 * _GIB,
            url=f"{_DOCUMENTATION}v5e",
        ),
        Chip(
            "v5p",
            flops_per_second=459e12,
            bytes_per_second=2765e9,
            published_memory=95 * _GIB,
            usable_memory=95.74 * _GIB,
            url=f"{_DOCUMENTATION}v5p",
        ),
        Chip(
            "v6e",
            flops_per_second=918e12,
            bytes_per_second=1638e9,
            published_memory=32 * _GIB,
            usable_memory=31.25 * _GIB,
            url=f"{_DOCUMENTATION}v6e",
        ),
    )
}


@dataclasses.dataclass(frozen=True)
class Topology:
    """Chips that are wired to each other.

    Attributes:
        name: Name, for example "v5e:2x2".
        chip: Its kind of chip.
    """

    name: str
    chip: Chip


def parse_topology(name: str) -> Topology:
    """Parses a name such as "v5e:2x2" or "v4:2x2x1".

    The compiler decides whether the topology exists.

    Raises:
        UserError: The name has another form, or the chip is unknown.
    """
    match = re.fullmatch(r"(\w+):\d+(x\d+)+", name)
    if not match or match[1] not in CHIPS:
        raise UserError(
            f"--topology={name} must be a chip, a colon and how many of them "
            "are wired along each side, such as v5e:2x2, v6e:2x4, v4:2x2x1 or "
            f"v5p:2x2x1; known chips are {', '.join(CHIPS)}."
        )
    return Topology(name, CHIPS[match[1]])


@dataclasses.dataclass(frozen=True)
class Roofline:
    """Lower bound of a program's time.

    Attributes:
        seconds: Least duration of a call.
        bound: "compute" or "memory", the slower of the two.
        compute_share: Time of the arithmetic at its peak, as a share of it.
    """

    seconds: float
    bound: str
    compute_share: float


def roofline(flops: float, num_bytes: float, chip: Chip) -> Roofline:
    """Bounds the time of a program on a chip.

    Args:
        flops: Floating-point operations of a call, above 0.
        num_bytes: Bytes that a call reads and writes.
        chip: The chip.
    """
    compute = flops / chip.flops_per_second
    memory = num_bytes / chip.bytes_per_second
    seconds = max(compute, memory)
    bound = "compute" if compute >= memory else "memory"
    return Roofline(seconds, bound, compute / seconds)


def largest_batch(
    first: tuple[int, float], second: tuple[int, float], available: float
) -> int | None:
    """Extrapolates the memory of two batches to the largest that fits.

    Args:
        first: Batch and bytes of a program; batch 0 for the fixed bytes.
        second: The same for another batch.
        available: Bytes of the chip.

    Returns:
        The batch at which the line through both reaches `available`, 0 if none
        fits; None if memory does not grow between the two batches.
    """
    (small, few), (large, many) = sorted((first, second))
    slope = (many - few) / (large - small)
    if slope <= 0:
        return None
    return max(0, int(large + (available - many) // slope))


_COMPUTATION = re.compile(r"(ENTRY )?%(\S+) \(.*\{$")
_OPERATION = re.compile(r"\s+(?:ROOT )?%\S+ = (.*?) ([a-z][\w\-]*)\((.*)$")
_ARRAY = re.compile(
    r"\b(?P<type>pred|[a-z]+(?P<bits>\d+)\w*)\[(?P<sides>[\d,]*)\]"
    r"(?:\{(?P<order>[\d,]*):?(?:T\((?P<tile>[\d,]*)\)(?:\([\d,]*\))*)?"
    r"(?:S\((?P<space>\d+)\))?)?"
)
_CALLED = re.compile(r"\b(?:body|to_apply|\w+_computations?)=(\{.*?\}|%\S+)")

# They name arrays, or wait for the transfer of another operation.
_MOVE_NOTHING = ("parameter", "constant", "tuple", "get-tuple-element")
_MOVE_NOTHING += ("bitcast", "copy-done", "slice-done", "async-done")
_CALL = ("while", "conditional", "call")


class _Array(NamedTuple):
    bytes: int
    on_chip: bool


class _Operation(NamedTuple):
    result: str
    name: str
    rest: str


def memory_traffic(program: str) -> int:
    """Counts the bytes that a call of a program moves through the memory.

    The compiler's own count includes what stays on the chip between two
    operations, often most of it. Its program distinguishes them: the layout of
    an array on the chip names a memory space, as S(1) does in
    `bf16[16,96,96,64]{3,0,2,1:T(8,128)(2,1)S(1)}`. The layout also has the
    order of the dimensions, the fastest first, and the tiles to which they are
    padded.

    It is assumed that an operation reads its operands whole, that a loop runs
    once, and that a conditional runs all its branches.

    Args:
        program: The compiled program, the text of an HLO module.

    Returns:
        Bytes, including padding to tiles.
    """
    computations: dict[str, list[_Operation]] = {}
    entry = ""
    for line in program.splitlines():
        if match := _COMPUTATION.match(line):
            operations = computations.setdefault(match[2], [])
            entry = match[2] if match[1] else entry
        elif match := _OPERATION.match(line):
            operations.append(_Operation(*match.groups()))
    return _moved(entry, computations)


def _moved(name: str, computations: dict[str, list[_Operation]]) -> int:
    total = 0
    for operation in computations[name]:
        if operation.name in _CALL:
            called = " ".join(_CALLED.findall(operation.rest))
            for other in re.findall(r"%([\w.\-]+)", called):
                total += _moved(other, computations)
        elif not (
            operation.name in _MOVE_NOTHING or "ConcatBitcast" in operation.rest
        ):
            total += sum(
                array.bytes
                for array in _touched(operation)
                if not array.on_chip
            )
    return total


def _touched(operation: _Operation) -> list[_Array]:
    """The arrays that an operation reads and writes, or their parts."""
    written = list(_arrays(operation.result))
    read = list(_arrays(_until_closed(operation.rest)))
    # The start of a transfer has the result (copy, original, flag) or
    # ((original), slice, flag).
    if operation.name == "copy-start":
        written = written[:1]
    elif operation.name == "slice-start":
        written = written[1:2]
    if operation.name in ("slice", "slice-start"):
        read = [_Array(written[0].bytes, read[0].on_chip)]
    return [*written, *read]


def _arrays(text: str) -> Iterator[_Array]:
    """Parses the shapes in a text such as `(f32[2,3]{1,0:T(8,128)}, u32[])`."""
    for match in _ARRAY.finditer(text):
        sides = _integers(match["sides"])
        # The last side of a tile lies along the first dimension in order.
        tile = reversed(_integers(match["tile"]))
        tiled = zip(_integers(match["order"]), tile, strict=False)
        for dimension, side in tiled:
            sides[dimension] = math.ceil(sides[dimension] / side) * side
        bits = int(match["bits"] or 8)
        yield _Array(
            math.prod(sides) * bits // 8, (match["space"] or "0") != "0"
        )


def _integers(text: str | None) -> list[int]:
    return [int(number) for number in (text or "").split(",") if number]


def _until_closed(text: str) -> str:
    """The text before the bracket that closes one opened before it."""
    depth = 1
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if not depth:
            return text[:position]
    return text
