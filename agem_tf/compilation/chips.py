"""TPUs as their maker publishes them, and as their compiler sees them."""

import dataclasses
import re

from agem_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Chip:
    """One chip of a TPU; a replica runs on one.

    Attributes:
        name: such as "v5e".
        flops_per_second: published peak in bfloat16. It also holds for float32,
            whose products a TPU takes in one pass of bfloat16 by default.
        bytes_per_second: published bandwidth of its memory.
        published_memory: bytes of memory, as published.
        usable_memory: bytes that the compiler leaves to a program; it names
            them when it refuses one (libtpu 0.0.10).
        configuration: how the compiler is to see the chip. Both cores of a v4
            are one device to TensorFlow, but not to the compiler unless told.
        url: where the published figures stand.
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
        name: such as "v5e:2x2".
        chip: what it is made of.
    """

    name: str
    chip: Chip


def parse_topology(name: str) -> Topology:
    """Reads a name such as "v5e:2x2" or "v4:2x2x1".

    Whether chips are wired so is the compiler's to say.

    Raises:
        UserError: it is written in another way, or of an unknown chip.
    """
    match = re.fullmatch(r"(\w+):\d+(x\d+)+", name)
    if not match or match[1] not in CHIPS:
        raise UserError(
            f"--topology={name} must be a chip, a colon and how many of them "
            "are wired along each side, such as v5e:2x2, v6e:2x4, v4:2x2x1 or "
            f"v5p:2x2x1; known chips are {', '.join(CHIPS)}."
        )
    return Topology(name, CHIPS[match[1]])
