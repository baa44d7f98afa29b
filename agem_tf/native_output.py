"""What C++ libraries write to stderr past Python, taken aside.

TensorFlow greets before it can be told not to, and FAISS repeats one warning
for every table that it trains; a user looks for the command's own lines.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def captured() -> Iterator[list[str]]:
    """Yields a list that holds the lines written when the block has ended.

    An exception still passes, and is printed when stderr is back.
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
