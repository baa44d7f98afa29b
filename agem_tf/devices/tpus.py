"""Whether a TPU is attached to this machine."""

import glob
import os

LOCAL = "local"
# A TPU's chips: up to v4 the first, since v5e the second.
DEVICE_FILES = ("/dev/accel*", "/dev/vfio/[0-9]*")


def are_attached() -> bool:
    """Whether this machine has the device files of a TPU."""
    return any(glob.glob(pattern) for pattern in DEVICE_FILES)


def skip_the_search() -> None:
    """Lets TensorFlow's import be quick where there is no TPU.

    TensorFlow for TPUs looks for one when it is imported: elsewhere it asks a
    metadata server about ten variables, 30 times each, for minutes.
    """
    if not are_attached():
        os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
