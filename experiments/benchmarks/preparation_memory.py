"""Memory of a preparation per listed photo.

    python experiments/benchmarks/preparation_memory.py --few=5000 --many=30000

Each preparation runs in a process of its own, on links to one photo of 8 x 8
pixels, ten per landmark. The slope between the sizes is what a photo costs.
"""

import pathlib
import subprocess
import sys
import tempfile

import PIL.Image

from agem_tf import cli

_PREPARE = """
import resource, sys
from agem_tf import prepare
prepare.main(prepare.PrepareOptions(source=sys.argv[1], data_dir=sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@cli.options
class MemoryOptions:
    """Sizes of the two preparations."""

    few: int = cli.option(5_000, "Photos of the first.", minimum=20)
    many: int = cli.option(30_000, "Photos of the second.", minimum=20)


def peak(photos: int) -> int:
    """Returns the largest resident memory of a preparation, in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder, "photos")
        root.mkdir()
        one = pathlib.Path(folder, "one.png")
        PIL.Image.new("RGB", (8, 8)).save(one)
        for number in range(photos):
            landmark = root / f"landmark {number // 10:07}"
            landmark.mkdir(exist_ok=True)
            (landmark / f"{number:08}.png").hardlink_to(one)
        output = subprocess.run(
            [sys.executable, "-c", _PREPARE, root, f"{folder}/data"],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
    return 1024 * int(output.split()[-1])


def main(options: MemoryOptions) -> None:
    """Prints the peak of each preparation, and the slope between them."""
    few, many = peak(options.few), peak(options.many)
    slope = (many - few) / (options.many - options.few)
    cli.print_line(
        f"{options.few:,} photos: {few / 1e6:.0f} MB, {options.many:,} photos: "
        f"{many / 1e6:.0f} MB, {slope:.0f} bytes per further photo"
    )


if __name__ == "__main__":
    cli.run(main, MemoryOptions)
