"""Files of remote file systems for readers that know only local ones."""

import contextlib
import os
import tempfile
from collections.abc import Iterator

import tensorflow as tf


def is_remote(path: str) -> bool:
    """Whether only TensorFlow reaches it, as gs://bucket/photos."""
    return "://" in path


@contextlib.contextmanager
def local_copy(path: str) -> Iterator[str]:
    """Yields a path of the same file name that any reader opens."""
    if not is_remote(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, os.path.basename(path))
        tf.io.gfile.copy(path, copy)
        yield copy
