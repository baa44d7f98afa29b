"""Reads the pickles inside PyTorch checkpoints without executing them.

A pickle is a program that may call anything. `pickle.Unpickler` with an
allow-list stops the calls, but a file can still make it set attributes, hash
nested tuples for hours, or reserve gigabytes for one memo index. Tensor files
use some forty opcodes, so this module interprets just those, with data only.

Arrays of NumPy inside a pickle, rebuilt without NumPy's own unpickling.

Retrieval checkpoints keep their whitening in them.
"""

import dataclasses
import io
import math
import pickletools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

_MARK = object()

_CONSTANTS = {
    "NONE": None,
    "NEWTRUE": True,
    "NEWFALSE": False,
}
# Strings of Python 2 are BINSTRING; they are read as Latin-1, byte by byte.
_LITERALS = frozenset(
    "BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE SHORT_BINUNICODE "
    "BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES".split()
)
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_IGNORED = frozenset(("PROTO", "FRAME", "STOP"))


class Symbol(NamedTuple):
    """A global name that the pickle refers to; it is never looked up."""

    module: str
    name: str


# Without a __repr__: a few bytes of pickle can hold themselves 2 ** 100 times.
@dataclasses.dataclass(eq=False, repr=False)
class Call:
    """A call that the pickle asks for; it is never made.

    Attributes:
        function: What is to be called.
        arguments: Its arguments.
        state: What the pickle hands to the result's `__setstate__`, if it does.
    """

    function: Any
    arguments: Any
    state: Any = None


class PersistentReference(NamedTuple):
    """A reference to data outside of the pickle."""

    identifier: Any


# What stands for a function that the pickle names, made by us.
Constructors = Mapping[Symbol, Callable[..., Any]]


def load(
    stream: io.BytesIO,
    resolve: Callable[[Any], Any] = PersistentReference,
    constructors: Constructors | None = None,
) -> Any:
    """Interprets the next pickle of `stream`.

    Args:
        stream: Positioned at the pickle, and left behind it.
        resolve: Gets the identifier of each persistent reference, and returns
            what stands for it.
        constructors: Our own functions that are called for some of the names;
            the pickle chooses the arguments.

    Returns:
        Its object, made of dict, list, tuple, str, bytes, numbers, Symbol,
        Call and what `resolve` and `constructors` return. An OrderedDict is a
        dict, without attributes.

    Raises:
        ValueError: the stream is cut short or uses another opcode.
    """
    machine = _Machine(resolve, _CONSTRUCTORS | dict(constructors or {}))
    for opcode, argument, _ in pickletools.genops(stream):
        machine.step(opcode.name, argument)
    return machine.stack.pop()


def _dictionary(pairs: list = ()) -> dict:
    """An OrderedDict; Python 2 lists its items in the constructor."""
    dictionary = {}
    for key, value in pairs:
        _set(dictionary, key, value)
    return dictionary


def _encode(text: str, encoding: str) -> bytes:
    """Bytes, as Python 3 writes them for Python 2."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError("it encodes bytes in an unknown way")
    return text.encode("latin-1")


_CONSTRUCTORS = {
    Symbol("_codecs", "encode"): _encode,
    Symbol("collections", "OrderedDict"): _dictionary,
}


def _set(dictionary: dict, key: Any, value: Any) -> None:
    if not isinstance(key, str | int):
        raise ValueError("a key is neither a name nor a number")
    dictionary[key] = value


class _Machine:
    """The pickle virtual machine, less everything that acts."""

    def __init__(self, resolve: Callable[[Any], Any], constructors):
        self.stack = []
        self._memo = {}
        self._resolve = resolve
        self._constructors = constructors

    def step(self, opcode: str, argument: Any) -> None:
        if opcode in _IGNORED:
            return
        if opcode in _LITERALS:
            self.stack.append(argument)
        elif opcode in _CONSTANTS:
            self.stack.append(_CONSTANTS[opcode])
        elif opcode in _TUPLES:
            self._collect_tuple(_TUPLES[opcode])
        else:
            action = getattr(self, f"_{opcode.lower()}", None)
            if action is None:
                raise ValueError(f"opcode {opcode} has no place in it")
            action(argument)

    def _collect_tuple(self, length):
        start = len(self.stack) - length
        self.stack[start:] = [tuple(self.stack[start:])]

    def _pop_to_mark(self):
        items = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def _mark(self, _):
        self.stack.append(_MARK)

    def _tuple(self, _):
        self.stack.append(tuple(self._pop_to_mark()))

    def _empty_dict(self, _):
        self.stack.append({})

    def _empty_list(self, _):
        self.stack.append([])

    def _append(self, _):
        item = self.stack.pop()
        self.stack[-1].append(item)

    def _appends(self, _):
        items = self._pop_to_mark()
        self.stack[-1].extend(items)

    def _setitem(self, _):
        value, key = self.stack.pop(), self.stack.pop()
        _set(self.stack[-1], key, value)

    def _setitems(self, _):
        items = self._pop_to_mark()
        for key, value in zip(items[::2], items[1::2], strict=True):
            _set(self.stack[-1], key, value)

    def _binput(self, index):
        self._memo[index] = self.stack[-1]

    _long_binput = _binput

    def _memoize(self, _):
        self._memo[len(self._memo)] = self.stack[-1]

    def _binget(self, index):
        self.stack.append(self._memo[index])

    _long_binget = _binget

    def _global(self, argument):
        self.stack.append(Symbol(*argument.split(" ", 1)))

    def _stack_global(self, _):
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a global name is not a text")
        self.stack.append(Symbol(module, name))

    def _reduce(self, _):
        arguments, function = self.stack.pop(), self.stack.pop()
        if isinstance(function, Symbol) and function in self._constructors:
            self.stack.append(self._constructors[function](*arguments))
        else:
            self.stack.append(Call(function, arguments))

    _newobj = _reduce

    def _build(self, _):
        state = self.stack.pop()
        if isinstance(self.stack[-1], Call):
            self.stack[-1].state = state

    def _binpersid(self, _):
        self.stack.append(self._resolve(self.stack.pop()))


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
