"""A full disk, told in one line.

Python, TensorFlow and HDF5 report it by exceptions of their own, which have
nothing in common but the operating system's sentence inside.
"""

import contextlib
import errno
import os
from collections.abc import Iterator

from agem_tf.errors import UserError

_SENTENCES = tuple(
    os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
)


@contextlib.contextmanager
def full_disk_named(directory: str | os.PathLike) -> Iterator[None]:
    """Names the directory that the block writes to, if it can't.

    Raises:
        UserError: the disk is full, or a quota or limit is reached.
    """
    try:
        yield
    except Exception as error:
        found = [text for text in _SENTENCES if text in str(error)]
        if not found or isinstance(error, UserError):
            raise
        raise UserError(
            f"{directory} can't be written: {found[0]}. Make room and give the "
            "same command again; what was finished is whole."
        ) from error
