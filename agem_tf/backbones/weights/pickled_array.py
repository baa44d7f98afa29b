"""Arrays of NumPy inside a pickle, rebuilt without NumPy's own unpickling.

Retrieval checkpoints keep their whitening in them.
"""

import math
from typing import Any

import numpy as np

from agem_tf.backbones.weights.tensor_pickle import Call, Symbol

_REBUILDERS = (
    Symbol("numpy._core.multiarray", "_reconstruct"),
    Symbol("numpy.core.multiarray", "_reconstruct"),
)
_DTYPE = Symbol("numpy", "dtype")
_ITEM_TYPES = ("f4", "f8")
_BYTE_ORDERS = ("<", ">")
_MAX_DIMENSIONS = 32


def decode(value: Any) -> np.ndarray:
    """Returns the array that a `Call` of the interpreted pickle stands for.

    Args:
        value: An array already, or what `tensor_pickle.load` left of one.

    Raises:
        ValueError: it is something else, not of floats, or its size is not
            that of its bytes.
    """
    if isinstance(value, np.ndarray):
        return value
    if not isinstance(value, Call) or value.function not in _REBUILDERS:
        raise ValueError("it holds something other than an array")
    try:
        return _rebuild(*value.state)
    except (AttributeError, LookupError, TypeError, UnicodeError) as error:
        raise ValueError("an array is damaged") from error


def _rebuild(
    _: Any, shape: Any, item_type: Any, is_fortran: Any, data: Any
) -> np.ndarray:
    # Python 2 wrote the bytes as a string.
    data = data.encode("latin-1") if isinstance(data, str) else data
    items = np.frombuffer(data, _dtype(item_type))
    counts = all(type(length) is int and length >= 0 for length in shape)
    if not counts or len(shape) > _MAX_DIMENSIONS:
        raise ValueError("an array has no proper shape")
    if math.prod(shape) != items.size:
        raise ValueError("an array has not the size that its shape says")
    return items.reshape(shape, order="F" if is_fortran else "C")


def _dtype(value: Call) -> np.dtype:
    if value.function != _DTYPE or value.arguments[0] not in _ITEM_TYPES:
        raise ValueError("an array holds something other than floats")
    if value.state[1] not in _BYTE_ORDERS:
        raise ValueError("an array has an unknown byte order")
    return np.dtype(value.state[1] + value.arguments[0])
