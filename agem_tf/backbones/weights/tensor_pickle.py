"""Reads the pickles inside PyTorch checkpoints without executing them.

A pickle is a program that may call anything. `pickle.Unpickler` with an
allow-list stops the calls, but a file can still make it set attributes, hash
nested tuples for hours, or reserve gigabytes for one memo index. Tensor files
use some thirty opcodes, so this module interprets just those, with data only.
"""

import io
import pickletools
from typing import Any, NamedTuple

_MARK = object()

_CONSTANTS = {
    "NONE": None,
    "NEWTRUE": True,
    "NEWFALSE": False,
}
_LITERALS = frozenset(
    "BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE SHORT_BINUNICODE".split()
)
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_IGNORED = frozenset(("PROTO", "FRAME", "STOP"))


class Symbol(NamedTuple):
    """A global name that the pickle refers to; it is never looked up."""

    module: str
    name: str


class Call(NamedTuple):
    """A call that the pickle asks for; it is never made."""

    function: Symbol
    arguments: tuple


class PersistentReference(NamedTuple):
    """A reference to data outside of the pickle."""

    identifier: Any


def load(stream: io.BytesIO) -> Any:
    """Interprets the next pickle of `stream`.

    Returns:
        Its object, made of dict, list, tuple, str, numbers, Symbol, Call and
        PersistentReference. An OrderedDict is a dict, without attributes.

    Raises:
        ValueError: the stream is cut short or uses another opcode.
    """
    machine = _Machine()
    for opcode, argument, _ in pickletools.genops(stream):
        machine.step(opcode.name, argument)
    return machine.stack.pop()


class _Machine:
    """The pickle virtual machine, less everything that acts."""

    def __init__(self):
        self.stack = []
        self._memo = {}

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
        self._set(key, value)

    def _setitems(self, _):
        items = self._pop_to_mark()
        for key, value in zip(items[::2], items[1::2], strict=True):
            self._set(key, value)

    def _set(self, key, value):
        if not isinstance(key, str | int):
            raise ValueError("a key is neither a name nor a number")
        self.stack[-1][key] = value

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
        self.stack.append(Symbol(module, name))

    def _reduce(self, _):
        arguments, function = self.stack.pop(), self.stack.pop()
        is_dict = function == ("collections", "OrderedDict") and not arguments
        self.stack.append({} if is_dict else Call(function, arguments))

    def _build(self, _):
        self.stack.pop()

    def _binpersid(self, _):
        self.stack.append(PersistentReference(self.stack.pop()))
