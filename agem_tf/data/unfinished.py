"""Where record files wait until all of them are there.

A preparation that fails or is killed leaves its finished files behind, and the
same command goes on with them.
"""

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator

import tensorflow as tf
from absl import logging

from agem_tf.data.remote import is_remote
from agem_tf.errors import UserError


@contextlib.contextmanager
def unfinished_files(
    directory: pathlib.Path, overwrite: bool, parent: str | None = None
) -> Iterator[str]:
    """Yields a directory that is removed when the block succeeds.

    Args:
        directory: of the dataset that is being prepared.
        overwrite: start with no file.
        parent: where to put it, if not hidden beside `directory`; may be of
            any file system that TensorFlow knows.

    Raises:
        UserError: another process is preparing the same dataset.
    """
    parts = os.path.join(parent or directory.parent, f".{directory.name}.parts")
    tf.io.gfile.makedirs(parts)
    with _locked(parts):
        if overwrite:
            _empty(parts)
        try:
            yield parts
        except BaseException:
            _keep_finished(parts)
            raise
        tf.io.gfile.rmtree(parts)


def _keep_finished(parts: str) -> None:
    names = tf.io.gfile.listdir(parts)
    finished = [name for name in names if name.endswith(".npz")]
    if not finished:
        tf.io.gfile.rmtree(parts)
        return
    logging.info(
        "%d finished files stay in %s; the same command goes on with them, "
        "--overwrite starts anew.",
        len(finished),
        parts,
    )


def _empty(parts: str) -> None:
    for name in tf.io.gfile.listdir(parts):
        tf.io.gfile.remove(os.path.join(parts, name))


@contextlib.contextmanager
def _locked(parts: str) -> Iterator[None]:
    """Holds a lock that the operating system releases with the process.

    Other file systems than the machine's own have none.
    """
    if is_remote(parts):
        yield
        return
    descriptor = os.open(parts, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise UserError(
            f"Another process is writing to {parts}; wait for it, or choose "
            "another --data_dir."
        ) from error
    except OSError:
        pass  # A network file system without locks.
    try:
        yield
    finally:
        os.close(descriptor)
