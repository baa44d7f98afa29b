"""Float32 arithmetic inside functions whose tensors may be half precision.

A cube of a float16 activation overflows from 41 on, and the square of 1e-6
vanishes, so everything with a power, a norm or a long sum computes in float32
and only its result is rounded.
"""

import functools
from collections.abc import Callable
from typing import Any

from keras import backend, ops

# Of whichever backend Keras runs on.
Tensor = Any


def widen(x: Tensor) -> Tensor:
    """Casts `x` to float32; float64 is kept."""
    x = ops.convert_to_tensor(x)
    return ops.cast(x, backend.result_type(x.dtype, "float32"))


def in_float32(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Makes `function(x, ...)` see `x` in float32 and return `x`'s dtype.

    Integers give floats of Keras' default type.
    """

    @functools.wraps(function)
    def wrapped(x, *args, **kwargs):
        x = ops.convert_to_tensor(x)
        result = function(widen(x), *args, **kwargs)
        return ops.cast(result, backend.result_type(x.dtype, float))

    return wrapped
