"""Pickles of plain values and NumPy arrays, without what makes them dangerous.

The benchmarks publish their ground truth as pickles, and Python's own reader
runs whatever a pickle says.
"""

import io
import pickle
import pickletools
from typing import Any

from agem_tf.errors import UserError

_ALLOWED = {
    ("_codecs", "encode"),
    ("__builtin__", "bytes"),
    ("builtins", "bytes"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
}


def loads(content: bytes) -> Any:
    """Unpickles what may come from anybody.

    The value may still surprise: a list can hold itself.

    Args:
        content: of a file whose size the caller has limited.

    Raises:
        UserError: it is not a pickle, or asks for anything but lists,
            dictionaries, numbers, texts and arrays.
    """
    try:
        _check_memo(content)
        return _Unpickler(io.BytesIO(content), encoding="latin1").load()
    # A damaged pickle raises any of a dozen types, MemoryError among them.
    except Exception as error:
        raise UserError(f"not a pickle of plain values: {error}.") from error


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


def _check_memo(content: bytes) -> None:
    """Refuses a memo index beyond the file's length.

    Python allocates a table up to that index: ten bytes ask for 64 GB.
    """
    for opcode, argument, _ in pickletools.genops(content):
        is_memo = opcode.name in ("PUT", "BINPUT", "LONG_BINPUT")
        if is_memo and argument > len(content):
            raise pickle.UnpicklingError(f"it has a memo index of {argument}")
