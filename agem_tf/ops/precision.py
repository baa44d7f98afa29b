"""Float32 arithmetic in functions of tensors that may be half precision.

In float16 the cube of an activation overflows from 41 on, and the square of
1e-6 underflows. Everything with a power, a norm or a long sum therefore
computes in float32, and only its result is rounded.
"""

import functools
from collections.abc import Callable
from typing import Any

from keras import backend, ops

# A tensor of the backend that Keras runs on.
Tensor = Any


def widen(x: Tensor) -> Tensor:
    """Casts `x` to float32; float64 is kept."""
    x = ops.convert_to_tensor(x)
    return ops.cast(x, backend.result_type(x.dtype, "float32"))


def in_float32(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Decorates `function(x, ...)` to compute in float32.

    The result has the dtype of `x`; for integers, Keras' default float type.
    """

    @functools.wraps(function)
    def wrapped(x, *args, **kwargs):
        x = ops.convert_to_tensor(x)
        result = function(widen(x), *args, **kwargs)
        return ops.cast(result, backend.result_type(x.dtype, float))

    return wrapped
