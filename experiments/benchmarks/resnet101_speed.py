"""Benchmark training and extraction of ResNet-101 against PyTorch.

    python experiments/benchmarks/resnet101_speed.py --threads=2

Training: one step of gem_resnet101_sfm120k.py on a tuple of 7 photos of 362x272
pixels. Extraction: the GeM descriptor of one photo of 1024x768. In float32, or
with `--bfloat16` in mixed precision (PyTorch by autocast), with random weights.
CPU times are the least, wall times the median, because other work on the
machine disturbs CPU times less.

Where PyTorch and torchvision are installed, they do the same: one photo of the
tuple after the other, as cnnimageretrieval-pytorch trains, and all at once, in
both memory formats; for extraction also with batch normalization folded into
the convolutions. Each way runs in a process of its own, in turns.

The bound is the time of as many multiplications in products of square
matrices, measured in the process of each way. Training counts three times the
convolutions of the forward pass.
"""

import concurrent.futures
import dataclasses
import importlib
import importlib.util
import multiprocessing
import resource
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from absl import app, flags
from measuring import measure, print_table

_MATRIX_SIDE = 2048
_OURS, _PEER = "resnet101_steps", "pytorch_resnet101_steps"
_LAST, _SINGLE = {"channels_last": True}, {"one_by_one": True}
# Name -> module and function of the way, and the function's options.
_TRAINING = {
    "agem_tf": (_OURS, "train", {}),
    "PyTorch, photo by photo": (_PEER, "train", _SINGLE),
    "PyTorch, photo by photo, channels last": (_PEER, "train", _SINGLE | _LAST),
    "PyTorch, all at once": (_PEER, "train", {}),
    "PyTorch, all at once, channels last": (_PEER, "train", _LAST),
}
_EXTRACTION = {
    "agem_tf": (_OURS, "extract", {}),
    "PyTorch": (_PEER, "extract", {}),
    "PyTorch, channels last": (_PEER, "extract", _LAST),
    "PyTorch, channels last, folded": (
        _PEER,
        "extract",
        _LAST | {"is_folded": True},
    ),
}

_THREADS = flags.DEFINE_integer("threads", 2, "Threads of each process.")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Calls per process.")
_ROUNDS = flags.DEFINE_integer("rounds", 1, "Processes per way, in turns.")
_BFLOAT16 = flags.DEFINE_bool("bfloat16", False, "Mixed precision.")
_ONLY = flags.DEFINE_string("only", "", "Ways whose names contain this.")


@dataclasses.dataclass(frozen=True)
class _Times:
    """Seconds of calls in one process.

    Attributes:
        seconds: Wall time of each call.
        cpu_seconds: Least CPU time of a call.
        product: CPU time of a product of two square matrices.
        gigabytes: Greatest memory of the process.
    """

    seconds: list[float]
    cpu_seconds: float
    product: float
    gigabytes: float


@dataclasses.dataclass(frozen=True)
class _Settings:
    """What a process is to measure.

    Attributes:
        threads: Threads of the process.
        repeats: Calls.
        bfloat16: Whether it measures mixed precision.
        shape: Photos, height and width.
    """

    threads: int
    repeats: int
    bfloat16: bool
    shape: tuple[int, int, int]


def main(argv: list[str]) -> None:
    """Prints one table for training and one for extraction."""
    del argv
    for ways, shape, passes in (
        (_TRAINING, (7, 272, 362), 3),
        (_EXTRACTION, (1, 768, 1024), 1),
    ):
        settings = _Settings(
            _THREADS.value, _REPEATS.value, _BFLOAT16.value, shape
        )
        print_table(_rows(ways, settings, passes))
        print()


def _rows(
    ways: dict[str, tuple], settings: _Settings, passes: int
) -> Iterator[dict[str, object]]:
    with_torch = importlib.util.find_spec("torchvision") is not None
    times = {
        name: []
        for name in ways
        if _ONLY.value in name and (with_torch or "PyTorch" not in name)
    }
    for _ in range(_ROUNDS.value):
        for name, found in times.items():
            found.append(_in_own_process(_time, *ways[name], settings))
    if not times:
        return
    operations = passes * _in_own_process(_operations, settings.shape)
    products = operations / (2 * _MATRIX_SIDE**3)
    first = 0.0
    for name, found in times.items():
        seconds = [x for each in found for x in each.seconds]
        cpu_seconds = min(each.cpu_seconds for each in found)
        bound = products * min(each.product for each in found)
        first = first or cpu_seconds
        yield {
            "way": name,
            "CPU s": f"{cpu_seconds:.2f}",
            "of the first": f"{cpu_seconds / first:.2f}",
            "bound": f"{bound:.2f}",
            "wall s": f"{statistics.median(seconds):.2f}",
            "from": f"{min(seconds):.2f}",
            "to": f"{max(seconds):.2f}",
            "GB": f"{max(each.gigabytes for each in found):.1f}",
        }


def _in_own_process(function: Callable, *arguments: object) -> Any:
    """Calls a function of this module in a new process."""
    with concurrent.futures.ProcessPoolExecutor(
        1, mp_context=multiprocessing.get_context("spawn")
    ) as pool:
        return pool.submit(function, *arguments).result()


def _operations(shape: tuple[int, int, int]) -> int:
    return importlib.import_module(_OURS).forward_operations(shape)


def _time(
    module: str, function: str, options: dict[str, bool], settings: _Settings
) -> _Times:
    steps = importlib.import_module(module)
    shape = (*settings.shape, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    call = getattr(steps, function)(
        pixels, settings.threads, settings.bfloat16, **options
    )
    matrix = np.ones((_MATRIX_SIDE, _MATRIX_SIDE), np.float32)
    multiply = steps.multiply(matrix, settings.bfloat16)
    product = measure(multiply, 10).cpu_seconds
    call()  # Compiles.
    found = [measure(call) for _ in range(settings.repeats)]
    return _Times(
        [each.seconds for each in found],
        min(each.cpu_seconds for each in found),
        product,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    )


if __name__ == "__main__":
    app.run(main)
