"""Rows too many for memory, in a file that nobody sees.

A million whitened descriptors make 8 GB; as a file they may leave memory again.
"""

import tempfile
from collections.abc import Iterable

import numpy as np

from agem_tf.errors import UserError


def write_temporary(
    blocks: Iterable[np.ndarray], shape: tuple[int, int]
) -> np.ndarray:
    """Writes rows to an unnamed temporary file, which ends with its array.

    Args:
        blocks: (rows, dimension) each.
        shape: of all blocks together, at least one row.

    Returns:
        `shape` float32, a memory map that can only be read.

    Raises:
        UserError: there is no room for the file.
    """
    # Written instead of stored into a map: on a full disk a write raises an
    # error, while a store kills the process (SIGBUS).
    with tempfile.TemporaryFile() as file:
        try:
            for block in blocks:
                file.write(np.ascontiguousarray(block, np.float32).data)
            file.flush()
        except OSError as error:
            raise UserError(
                f"{tempfile.gettempdir()} can't take {shape[0]} temporary "
                f"descriptors ({error.strerror}); name another directory by "
                "the environment variable TMPDIR."
            ) from error
        return np.memmap(file, np.float32, "r", shape=shape)
