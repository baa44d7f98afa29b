"""Measure the memory of a training step of ResNet-101.

    python experiments/benchmarks/training_memory.py
    python experiments/benchmarks/training_memory.py --image_size=1024 \\
        --tuples=1 --only=remat

One step of gem_resnet101_sfm120k.py in float32 on tuples of 7 square photos:
all tuples at once, one after the other (`training.accumulate_steps`), and with
activations computed again for the gradients (`training.remat`). Each way runs
in a process of its own; its memory is the most that the process had. The CPU
time is that of the second step.
"""

import concurrent.futures
import multiprocessing
import resource
from collections.abc import Iterator

import numpy as np
import resnet101_steps
from absl import app, flags
from measuring import measure, print_table

_PHOTOS = 7
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 512, "Pixels of a side.")
_TUPLES = flags.DEFINE_integer("tuples", 5, "Tuples per step.")
_THREADS = flags.DEFINE_integer("threads", 2, "Threads of each process.")
_ONLY = flags.DEFINE_string("only", "", "Ways whose names contain this.")


def main(argv: list[str]) -> None:
    """Prints a row per way."""
    del argv
    print_table(_rows())


def _rows() -> Iterator[dict[str, object]]:
    parts = {"accumulate_steps": _TUPLES.value}
    ways = {
        "all at once": {},
        "accumulate_steps": parts,
        "remat": {"remat": True},
        "accumulate_steps and remat": parts | {"remat": True},
    }
    for name, options in ways.items():
        if _ONLY.value not in name:
            continue
        with concurrent.futures.ProcessPoolExecutor(
            1, mp_context=multiprocessing.get_context("spawn")
        ) as pool:
            gigabytes, cpu_seconds = pool.submit(
                _measure,
                _IMAGE_SIZE.value,
                _THREADS.value,
                {"tuples": _TUPLES.value} | options,
            ).result()
        yield {
            "way": name,
            "GB": f"{gigabytes:.1f}",
            "CPU s": f"{cpu_seconds:.0f}",
        }


def _measure(
    image_size: int, threads: int, options: dict[str, int]
) -> tuple[float, float]:
    shape = (_PHOTOS, image_size, image_size, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    step = resnet101_steps.train(pixels, threads, **options)
    step()  # Compiles.
    cpu_seconds = measure(step).cpu_seconds
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * 1024 / 1e9, cpu_seconds


if __name__ == "__main__":
    app.run(main)
