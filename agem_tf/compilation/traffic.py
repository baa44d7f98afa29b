"""The bytes that a compiled program moves through a chip's memory.

The compiler's own count also holds what stays on the chip between two
operations, often most of it. Its program tells them apart: the layout of an
array that is on the chip names a memory space, as S(1) does in
`bf16[16,96,96,64]{3,0,2,1:T(8,128)(2,1)S(1)}`. The layout also says in which
order dimensions lie, the fastest first, and to which tiles they are padded.
"""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

_COMPUTATION = re.compile(r"(ENTRY )?%(\S+) \(.*\{$")
_OPERATION = re.compile(r"\s+(?:ROOT )?%\S+ = (.*?) ([a-z][\w\-]*)\((.*)$")
_ARRAY = re.compile(
    r"\b(?P<type>pred|[a-z]+(?P<bits>\d+)\w*)\[(?P<sides>[\d,]*)\]"
    r"(?:\{(?P<order>[\d,]*):?(?:T\((?P<tile>[\d,]*)\)(?:\([\d,]*\))*)?"
    r"(?:S\((?P<space>\d+)\))?)?"
)
_CALLED = re.compile(r"\b(?:body|to_apply|\w+_computations?)=(\{.*?\}|%\S+)")

# They name arrays, or wait for what another operation moves.
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
    """Counts what a call of a program reads from memory and writes there.

    An operation is taken to read its operands whole, a loop to run once, and a
    choice to run all its branches.

    Args:
        program: the compiler's, as the text of an HLO module.

    Returns:
        Bytes, padding to tiles included.
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
    """The arrays that an operation reads and writes, or the parts it does."""
    written = list(_arrays(operation.result))
    read = list(_arrays(_until_closed(operation.rest)))
    # What starts a transfer results in (copy, original, flag) or
    # ((original), slice, flag).
    if operation.name == "copy-start":
        written = written[:1]
    elif operation.name == "slice-start":
        written = written[1:2]
    if operation.name in ("slice", "slice-start"):
        read = [_Array(written[0].bytes, read[0].on_chip)]
    return [*written, *read]


def _arrays(text: str) -> Iterator[_Array]:
    """Reads the shapes in a text such as `(f32[2,3]{1,0:T(8,128)}, u32[])`."""
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
    """What is before the bracket that closes one opened before the text."""
    depth = 1
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if not depth:
            return text[:position]
    return text
