"""Pickles interpreted as data: nothing in them is called.

Ground truths and PyTorch checkpoints are pickles, and a pickle is a program
that may call anything. `pickle.Unpickler` with an allow-list stops most calls,
but a file of 130 bytes can still make NumPy follow a pointer, hash nested
tuples for hours, or reserve gigabytes for one memo index. This module
interprets the opcodes that plain values need. Arrays are built from their
bytes without NumPy's own unpickling, Latin-1 is the only codec, and everything
allocated is charged to a budget in proportion to the file.
"""

import codecs
import dataclasses
import functools
import io
import math
import pickle
import pickletools
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from agem_tf.errors import UserError

# Bytes that may be allocated per byte of the file, and for any file. An empty
# list with its place in the memo takes 96 bytes and comes from 2.
_BYTES_PER_BYTE, _FREE_BYTES = 48, 1 << 20
_OBJECT_BYTES, _POINTER_BYTES, _MEMO_BYTES = 64, 8, 32
_MAX_DEPTH = 100
# Items of all lists and arrays, where what is shared counts each time.
_ITEMS_PER_BYTE, _FREE_ITEMS = 4, 1000
_MAX_DIMENSIONS = 32
# Larger integers can be chosen such that a dictionary of them is slow.
_MAX_KEY = 2**60
_MAX_INTEGER = 2**64
_MAX_REASON = 200
_MARK = object()
_CONSTANTS = {
    "NONE": None,
    "NEWTRUE": True,
    "NEWFALSE": False,
    "EMPTY_TUPLE": (),
    "MARK": _MARK,
}
# Opcodes whose argument is the value. BINSTRING is a text of Python 2, which
# is read as Latin-1, byte by byte.
_LITERALS = frozenset(
    "BININT BININT2 LONG1 LONG4 BINFLOAT BINUNICODE SHORT_BINUNICODE "
    "BINUNICODE8 BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES "
    "BINBYTES8".split()
)
# Of protocol 0, Python 2's default, which torch.save never used.
_TEXT_LITERALS = frozenset("INT LONG FLOAT STRING UNICODE".split())
_SCALAR_TYPES = (bool, int, float, str, bytes, np.generic, type(None))
# What damaged bytes make pickletools, NumPy and this module raise.
DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


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
        state: What the pickle hands to `__setstate__` of the result, if it
            does.
        memo_keys: Where the pickle's memo holds this call.
    """

    function: Any
    arguments: Any
    state: Any = None
    memo_keys: list[int] = dataclasses.field(default_factory=list)


class PersistentReference(NamedTuple):
    """A reference to data outside of the pickle."""

    identifier: Any


# Functions of ours that stand for functions that the pickle names.
Constructors = Mapping[Symbol, Callable[..., Any]]


def read_pickle(content: bytes) -> Any:
    """Reads a pickle of plain values, of any protocol.

    Args:
        content: The bytes of a file whose size the caller has limited.

    Returns:
        Lists, tuples, dictionaries, texts, bytes, numbers, None, and arrays and
        scalars of NumPy. Nothing holds itself, and unfolding what is shared
        gives at most a few items per byte of the file.

    Raises:
        UserError: it is not a pickle, is damaged, or asks for anything else.
    """
    try:
        value = _Machine(len(content)).run(io.BytesIO(content))
        _check_plain(value, _ITEMS_PER_BYTE * len(content) + _FREE_ITEMS)
    except DAMAGE as error:
        reason = str(error).split("\n")[0] or type(error).__name__
        reason = "".join(c if c.isprintable() else "?" for c in reason)
        reason = textwrap.shorten(reason, _MAX_REASON, placeholder="...")
        raise UserError(f"not a pickle of plain values: {reason}.") from error
    return value


def interpret_pickle(
    stream: io.BytesIO,
    resolve: Callable[[Any], Any] = PersistentReference,
    constructors: Constructors | None = None,
) -> Any:
    """Interprets the next pickle of a PyTorch checkpoint.

    Args:
        stream: Positioned at the pickle, and left behind it.
        resolve: Receives the identifier of each persistent reference, and
            returns the object to put in its place.
        constructors: Our own functions that are called for some of the names;
            the pickle chooses the arguments.

    Returns:
        Its object, made of dict, list, tuple, str, bytes, numbers, arrays,
        Symbol, Call and what `resolve` and `constructors` return. An
        OrderedDict is a dict, without attributes. Objects of any other class,
        and arrays of anything but numbers and texts, stay a Call.

    Raises:
        ValueError: the stream is cut short, uses another opcode, or allocates
            too much; or another of `DAMAGE`.
    """
    size = stream.getbuffer().nbytes
    return _Machine(size, resolve, constructors or {}).run(stream)


def _read_string(stream: io.BytesIO) -> str:
    """Reads Python 2's text of protocol 0, byte by byte as Latin-1.

    pickletools decodes it as ASCII, but the bytes of arrays are written so too.
    """
    line = pickletools.read_stringnl(stream, decode=False)
    return codecs.escape_decode(line)[0].decode("latin-1")


class _Machine:
    """The pickle virtual machine without its side effects.

    Args:
        size: Bytes of the file.
        resolve: See `interpret_pickle`.
        constructors: See `interpret_pickle`; None for plain values alone.
    """

    def __init__(
        self,
        size: int,
        resolve: Callable[[Any], Any] | None = None,
        constructors: Constructors | None = None,
    ) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._size = size
        self._budget = _BYTES_PER_BYTE * size + _FREE_BYTES
        self._resolve = resolve
        self._is_plain = constructors is None
        self._constructors = {
            Symbol("_codecs", "encode"): self._encode,
            Symbol("collections", "OrderedDict"): self._dictionary,
            # Python 3 writes empty bytes so in the protocols of Python 2.
            Symbol("__builtin__", "bytes"): bytes,
            Symbol("builtins", "bytes"): bytes,
        } | dict(constructors or {})

    def run(self, stream: io.BytesIO) -> Any:
        """Interprets one pickle and returns its object."""
        actions = self._actions()
        while code := stream.read(1):
            if code not in actions:
                raise ValueError(f"it has the byte {code!r} for an opcode")
            read, act = actions[code]
            act(read(stream) if read else None)
            if code == pickle.STOP:
                return self._stack.pop()
        raise ValueError("it is cut short")

    def _actions(self) -> dict[bytes, tuple[Callable | None, Callable]]:
        """Returns the reader of each opcode's argument, and what it does."""
        actions = {}
        for opcode in pickletools.opcodes:
            name, read = opcode.name, opcode.arg and opcode.arg.reader
            act = getattr(self, f"_on_{name.lower()}", None)
            if name in _LITERALS or (self._is_plain and name in _TEXT_LITERALS):
                act = self._push
            elif name in _CONSTANTS:
                act = functools.partial(self._point_to, _CONSTANTS[name])
            elif act is None:
                act = functools.partial(self._refuse, name)
            if name == "STRING":
                read = _read_string
            actions[opcode.code.encode("latin-1")] = read, act
        return actions

    def _refuse(self, name: str, _: Any) -> None:
        raise ValueError(f"opcode {name} has no place in it")

    def _on_proto(self, _: int | None) -> None:
        pass

    _on_frame = _on_stop = _on_proto

    def _on_bytearray8(self, content: bytearray) -> None:
        self._push(bytes(content))

    def _on_tuple1(self, _: None) -> None:
        self._push((self._stack.pop(),))

    def _on_tuple2(self, _: None) -> None:
        second, first = self._stack.pop(), self._stack.pop()
        self._push((first, second))

    def _on_tuple3(self, _: None) -> None:
        third, second = self._stack.pop(), self._stack.pop()
        self._push((self._stack.pop(), second, third))

    def _charge(self, amount: int) -> None:
        """Refuses a pickle that allocates out of proportion to its file."""
        self._budget -= amount
        if self._budget < 0:
            raise ValueError("it unfolds to far more than its file holds")

    def _push(self, value: Any) -> None:
        self._charge(_OBJECT_BYTES)
        self._stack.append(value)

    def _point_to(self, value: Any, _: None = None) -> None:
        """Pushes an object that exists already, such as a small integer."""
        self._charge(_POINTER_BYTES)
        self._stack.append(value)

    _on_binint1 = _point_to

    def _pop_to_mark(self) -> list[Any]:
        items = []
        while (item := self._stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def _on_tuple(self, _: None) -> None:
        self._push(tuple(self._pop_to_mark()))

    def _on_list(self, _: None) -> None:
        self._push(self._pop_to_mark())

    def _on_dict(self, _: None) -> None:
        items = self._pop_to_mark()
        self._push(self._dictionary(zip(items[::2], items[1::2], strict=True)))

    def _on_empty_dict(self, _: None) -> None:
        self._push({})

    def _on_empty_list(self, _: None) -> None:
        self._push([])

    def _on_append(self, _: None) -> None:
        item = self._stack.pop()
        self._stack[-1].append(item)

    def _on_appends(self, _: None) -> None:
        items = self._pop_to_mark()
        self._stack[-1].extend(items)

    def _on_setitem(self, _: None) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set(self._stack[-1], key, value)

    def _on_setitems(self, _: None) -> None:
        items = self._pop_to_mark()
        for key, value in zip(items[::2], items[1::2], strict=True):
            self._set(self._stack[-1], key, value)

    def _set(self, dictionary: dict, key: Any, value: Any) -> None:
        if isinstance(key, str) or (type(key) is int and abs(key) < _MAX_KEY):
            dictionary[key] = value
        else:
            raise ValueError("a key is neither a name nor a number")

    def _on_pop(self, _: None) -> None:
        self._stack.pop()

    def _on_dup(self, _: None) -> None:
        self._point_to(self._stack[-1])

    def _on_binput(self, index: int) -> None:
        # Python's own reader allocates a table up to that index.
        if self._is_plain and index > self._size:
            raise ValueError(f"it has a memo index of {index}")
        self._charge(_MEMO_BYTES)
        self._memo[index] = self._stack[-1]
        if isinstance(self._stack[-1], Call):
            self._stack[-1].memo_keys.append(index)

    _on_long_binput = _on_put = _on_binput

    def _on_memoize(self, _: None) -> None:
        self._on_binput(len(self._memo))

    def _on_binget(self, index: int) -> None:
        if index not in self._memo:
            raise ValueError(f"it has nothing at memo index {index}")
        self._point_to(self._memo[index])

    _on_long_binget = _on_get = _on_binget

    def _on_global(self, argument: str) -> None:
        self._push(Symbol(*argument.split(" ", 1)))

    def _on_stack_global(self, _: None) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a global name is not a text")
        self._push(Symbol(module, name))

    def _on_reduce(self, _: None) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if not isinstance(function, Symbol | Call):
            raise ValueError("it calls something other than a function")
        if not isinstance(arguments, tuple):
            raise ValueError("it calls a function without arguments")
        self._charge(_POINTER_BYTES * len(arguments))
        call = Call(function, arguments)
        if isinstance(function, Symbol) and function in self._constructors:
            constructor = self._constructors[function]
            if constructor is bytes and arguments:
                raise ValueError("it asks for bytes that it does not hold")
            try:
                self._push(constructor(*arguments))
            except TypeError as error:
                name = ".".join(function)
                raise ValueError(f"it calls {name} wrongly") from error
        elif function in _SCALARS or function in _BUFFERS:
            self._push(self._array_of(call))
        elif self._is_plain and function not in (*_RECONSTRUCTED, _DTYPE):
            name = ".".join(function if isinstance(function, Symbol) else ())
            raise ValueError(f"it asks for {name or 'a call of a call'}")
        else:
            self._push(call)

    _on_newobj = _on_reduce

    def _on_build(self, _: None) -> None:
        state, call = self._stack.pop(), self._stack[-1]
        if not isinstance(call, Call):
            return  # Attributes of an OrderedDict.
        call.state = state
        if call.function in _RECONSTRUCTED:
            self._stack[-1] = array = self._array_of(call)
            for key in call.memo_keys:
                if self._memo[key] is call:
                    self._memo[key] = array

    def _on_binpersid(self, _: None) -> None:
        if self._resolve is None:
            raise ValueError("it refers to data outside of it")
        self._push(self._resolve(self._stack.pop()))

    def _encode(self, text: str, encoding: str) -> bytes:
        """Returns bytes, as Python 3 writes them for Python 2."""
        if encoding not in ("latin1", "latin-1"):
            raise ValueError("it encodes bytes in an unknown way")
        self._charge(len(text))
        return text.encode("latin-1")

    def _dictionary(self, pairs: Any = ()) -> dict:
        """Returns an OrderedDict; Python 2 lists its items in the call."""
        dictionary = {}
        for key, value in pairs:
            self._charge(_OBJECT_BYTES)
            self._set(dictionary, key, value)
        return dictionary

    def _array_of(self, call: Call) -> Any:
        """Returns the array or scalar that a call stands for.

        A checkpoint may hold arrays of other things beside its tensors; there
        the call itself is returned.
        """
        try:
            if call.function in _SCALARS:
                item_type, data = call.arguments
                return self._rebuild((), item_type, "C", data)[()]
            if call.function in _BUFFERS:
                data, item_type, shape, order = call.arguments
                return self._rebuild(shape, item_type, order, data)
            # Older versions of NumPy wrote four values, newer ones put their
            # version before them.
            if len(call.state) not in (4, 5):
                raise TypeError
            shape, item_type, is_fortran, data = call.state[-4:]
            order = "F" if is_fortran else "C"
            return self._rebuild(shape, item_type, order, data)
        except (AttributeError, LookupError, TypeError, UnicodeError) as error:
            if self._is_plain:
                raise ValueError("an array is damaged") from error
        except ValueError:
            if self._is_plain:
                raise
        return call

    def _rebuild(
        self, shape: Any, item_type: Any, order: Any, data: Any
    ) -> np.ndarray:
        if isinstance(data, str):  # Python 2 wrote the bytes as a string.
            data = self._encode(data, "latin-1")
        item_type = _item_type(item_type)
        items = np.frombuffer(data, item_type)
        self._charge(2 * _OBJECT_BYTES)
        if not isinstance(shape, tuple) or len(shape) > _MAX_DIMENSIONS:
            raise ValueError("an array has no proper shape")
        if not all(type(n) is int and 0 <= n <= self._size for n in shape):
            raise ValueError("an array has no proper shape")
        if math.prod(shape) != items.size:
            raise ValueError("an array does not have the size of its shape")
        if item_type.kind == "U" and items.size:
            codes = items.view(np.dtype("u4").newbyteorder(item_type.byteorder))
            if codes.max() > 0x10FFFF:
                raise ValueError("an array of texts is damaged")
        return items.reshape(shape, order="F" if order == "F" else "C")


_DTYPE = Symbol("numpy", "dtype")
_ITEM_TYPE = re.compile(r"b1|[iu][1248]|f[248]|[SU][1-9]\d{0,5}")
_RECONSTRUCTED, _SCALARS, _BUFFERS = (
    tuple(
        Symbol(f"numpy.{core}.{function}", name) for core in ("_core", "core")
    )
    for function, name in (
        ("multiarray", "_reconstruct"),
        ("multiarray", "scalar"),
        ("numeric", "_frombuffer"),
    )
)


def _item_type(call: Any) -> np.dtype:
    if not isinstance(call, Call) or call.function != _DTYPE:
        raise ValueError("an array has no type")
    name = call.arguments[0]
    if not isinstance(name, str) or not _ITEM_TYPE.fullmatch(name):
        raise ValueError("an array holds something other than numbers or texts")
    byte_order, *parts = call.state[1:5]
    if byte_order not in ("<", ">", "|") or any(p is not None for p in parts):
        raise ValueError("an array has an unknown type")
    return np.dtype(byte_order + name)


def _check_plain(root: Any, limit: int) -> None:
    """Checks what `read_pickle` promises of its result.

    Args:
        root: The result.
        limit: Items that it may have when everything shared is unfolded.

    Raises:
        ValueError: something is of another class, holds itself, lies too deep,
            or there are more items.
    """
    # Without recursion, which deep values would exhaust. A container is entered
    # when its items are put on top of it, and done when they all are.
    entered: set[int] = set()
    done: dict[int, tuple[int, int]] = {}  # Depth and number of items.
    waiting = [[root]]
    while waiting:
        container = waiting[-1]
        if id(container) in done:
            waiting.pop()
            continue
        items = container.values() if type(container) is dict else container
        inner = [item for item in items if _is_container(item)]
        if id(container) not in entered:
            entered.add(id(container))
            pending = [item for item in inner if id(item) not in done]
            if any(id(item) in entered for item in pending):
                raise ValueError("a value holds itself")
            waiting.extend(pending)
            continue
        waiting.pop()
        arrays = (i.size for i in items if isinstance(i, np.ndarray))
        depth = 1 + max((done[id(item)][0] for item in inner), default=0)
        count = len(items) + sum(arrays) + sum(done[id(i)][1] for i in inner)
        if depth > _MAX_DEPTH or count > limit:
            raise ValueError("it is nested too deep or shares too much")
        done[id(container)] = depth, count


def _is_container(value: Any) -> bool:
    """Returns whether a plain value has items.

    Raises:
        ValueError: it is no plain value.
    """
    if type(value) in (list, tuple, dict):
        return True
    if not isinstance(value, (np.ndarray, *_SCALAR_TYPES)):
        raise ValueError("it holds something other than plain values")
    if type(value) is int and abs(value) >= _MAX_INTEGER:
        raise ValueError("a number is too large")
    return False
