"""Quiet and quick imports of native libraries.

TensorFlow prints before logging can be configured, and FAISS repeats one
warning for every table that it trains; both bury a command's own lines.
"""

import contextlib
import ctypes
import glob
import os
import sys
import tempfile
import threading
from collections.abc import Iterator

# Files of a TPU's chips: the first up to v4, the second since v5e.
TPU_DEVICE_FILES = ("/dev/accel*", "/dev/vfio/[0-9]*")
# Files of NVIDIA's GPUs on Linux, and in its subsystem on Windows.
GPU_DEVICE_FILES = ("/dev/nvidia[0-9]*", "/dev/dxg")
_CAPTURING = threading.RLock()


@contextlib.contextmanager
def captured(descriptor: int = 2) -> Iterator[list[str]]:
    """Captures what C and C++ code writes to stderr inside the block.

    One thread at a time captures; what others write meanwhile is captured too.

    Args:
        descriptor: 2 for stderr, 1 for stdout, which C keeps in a buffer.

    Yields:
        A list, which receives the lines when the block ends.
    """
    lines: list[str] = []
    flush = ctypes.CDLL(None).fflush
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    with _CAPTURING, tempfile.TemporaryFile() as file:
        flush(None)
        before = os.dup(descriptor)
        os.dup2(file.fileno(), descriptor)
        try:
            yield lines
        finally:
            flush(None)
            os.dup2(before, descriptor)
            os.close(before)
            file.seek(0)
            lines += file.read().decode(errors="replace").splitlines()


def is_tpu_attached() -> bool:
    """Whether this machine has the device files of a TPU."""
    return any(glob.glob(pattern) for pattern in TPU_DEVICE_FILES)


def is_gpu_offered() -> bool:
    """Whether this machine has an NVIDIA GPU that the user does not hide."""
    attached = any(glob.glob(pattern) for pattern in GPU_DEVICE_FILES)
    return attached and os.environ.get("CUDA_VISIBLE_DEVICES") not in ("", "-1")


def prepare_tensorflow_import() -> None:
    """Makes a later import of TensorFlow quiet, and quick without a TPU.

    TensorFlow for TPUs looks for a TPU when it is imported: elsewhere it asks
    a metadata server about ten variables, 30 times each, for minutes.
    TensorFlow for GPUs looks for a GPU, prints an error where there is none,
    and allocates all of its memory unless growth on demand is enabled.
    """
    quiet = "2" if is_gpu_offered() or is_tpu_attached() else "3"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", quiet)
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    if not is_tpu_attached():
        os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
