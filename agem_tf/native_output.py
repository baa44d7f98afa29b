"""Quiet and quick imports of native libraries.

TensorFlow prints before logging can be configured, and FAISS repeats one
warning for every table that it trains; both bury a command's own lines.
"""

import contextlib
import glob
import os
import sys
import tempfile
from collections.abc import Iterator

# Files of a TPU's chips: the first up to v4, the second since v5e.
TPU_DEVICE_FILES = ("/dev/accel*", "/dev/vfio/[0-9]*")


@contextlib.contextmanager
def captured() -> Iterator[list[str]]:
    """Captures what C and C++ code writes to stderr inside the block.

    Yields:
        A list, which receives the lines when the block ends.
    """
    lines: list[str] = []
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            file.seek(0)
            lines += file.read().decode(errors="replace").splitlines()


def is_tpu_attached() -> bool:
    """Whether this machine has the device files of a TPU."""
    return any(glob.glob(pattern) for pattern in TPU_DEVICE_FILES)


def prepare_tensorflow_import() -> None:
    """Makes a later import of TensorFlow quiet, and quick without a TPU.

    TensorFlow for TPUs looks for a TPU when it is imported: elsewhere it asks
    a metadata server about ten variables, 30 times each, for minutes.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if not is_tpu_attached():
        os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
