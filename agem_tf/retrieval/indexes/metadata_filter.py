"""Filters of photos by their metadata, as users write them.

    year >= 2020 and landmark != unknown
    place ~ paris or tags in (old, "city hall")
    landmark and not (year < 1990)

A comparison is a field, one of = != < <= > >= ~ (contains, in any case) and a
value; `in` takes several values. A field alone asks whether the photo has it. A
photo without the field satisfies only != and `not`. Values are bare words or
quoted. Numbers are compared as numbers, anything else as text, so that dates as
2020-12-31 are in order. Of a list, one element suffices.
"""

import dataclasses
import operator
import re
from collections.abc import Callable
from typing import NoReturn

from agem_tf.errors import UserError
from agem_tf.retrieval.indexes.photo_metadata import Fields, Value

# Filters come from strangers too.
_MOST_CHARACTERS = 2000
_DEEPEST = 30
_TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>"[^"]*"|'[^']*')"""
    r"""|(?P<sign><=|>=|!=|==|[=<>~(),])"""
    r"""|(?P<word>[^\s<>=!~(),"']+))"""
)
_ORDERS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_COMPARISONS = {*_ORDERS, "=", "==", "!=", "~"}
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d+)?([eE][+-]?\d{1,2})?")


_Test = Callable[[Fields], bool]


@dataclasses.dataclass(frozen=True)
class MetadataFilter:
    """A filter that was read.

    Attributes:
        passes: whether a photo with some metadata passes it.
        fields: fields that it names.
    """

    passes: _Test
    fields: frozenset[str]


def parse_filter(text: str) -> MetadataFilter:
    """Reads a filter.

    Args:
        text: the filter; see the module.

    Raises:
        UserError: it is not a filter.
    """
    if len(text) > _MOST_CHARACTERS:
        raise UserError(
            f"A filter has at most {_MOST_CHARACTERS} characters. Received: "
            f"{len(text)}"
        )
    return _Parser(text).parse()


def typed_value(text: str) -> int | float | str:
    """Returns the number that a text is, or the text.

    "007" and "2020-12-31" are texts.
    """
    found = _NUMBER.fullmatch(text)
    if found is None:
        return text
    return int(text) if found[2] is found[3] is None else float(text)


class _Parser:
    """Recursive descent: or, and, not, then comparisons and brackets."""

    def __init__(self, text: str):
        self._text = text
        self._tokens: list[tuple[str, str]] = []
        self._fields: set[str] = set()
        self._depth = 0
        end = 0
        while found := _TOKEN.match(text, end):
            self._tokens.append((found.lastgroup, found[found.lastgroup]))
            end = found.end()
        if text[end:].strip():
            self._refuse(f"at {text[end:].strip()[:20]!r}")
        self._tokens.reverse()

    def parse(self) -> MetadataFilter:
        found = self._either()
        if self._tokens:
            self._refuse(f"at {self._tokens[-1][1]!r}")
        return MetadataFilter(found, frozenset(self._fields))

    def _either(self) -> _Test:
        parts = [self._all()]
        while self._take("word", "or"):
            parts.append(self._all())
        return lambda fields: any(part(fields) for part in parts)

    def _all(self) -> _Test:
        parts = [self._inverted()]
        while self._take("word", "and"):
            parts.append(self._inverted())
        return lambda fields: all(part(fields) for part in parts)

    def _inverted(self) -> _Test:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._refuse("with too many brackets")
        if self._take("word", "not"):
            inner = self._inverted()
            found: _Test = lambda fields: not inner(fields)  # noqa: E731
        elif self._take("sign", "("):
            found = self._either()
            self._expect(")")
        else:
            found = self._comparison()
        self._depth -= 1
        return found

    def _comparison(self) -> _Test:
        field = self._next("a field")
        self._fields.add(field)
        if self._take("word", "in"):
            self._expect("(")
            values = [self._value()]
            while self._take("sign", ","):
                values.append(self._value())
            self._expect(")")
            return lambda fields: any(
                _compare(fields.get(field), "=", value) for value in values
            )
        if self._tokens and self._tokens[-1][1] in _COMPARISONS:
            sign = self._tokens.pop()[1]
            value = self._value()
            return lambda fields: _compare(fields.get(field), sign, value)
        return lambda fields: field in fields

    def _value(self) -> Value:
        is_quoted = bool(self._tokens) and self._tokens[-1][0] == "quoted"
        text = self._next("a value")
        return text if is_quoted else typed_value(text)

    def _next(self, wanted: str) -> str:
        if not self._tokens:
            self._refuse(f"at its end, where {wanted} is missing")
        kind, text = self._tokens.pop()
        if kind == "sign":
            self._refuse(f"at {text!r}, where {wanted} is missing")
        return text[1:-1] if kind == "quoted" else text

    def _take(self, kind: str, text: str) -> bool:
        if self._tokens and self._tokens[-1] == (kind, text):
            self._tokens.pop()
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._take("sign", sign):
            self._refuse(f"where {sign!r} is missing")

    def _refuse(self, place: str) -> NoReturn:
        raise UserError(
            f"The filter can't be read {place}; write it as in 'year>=2020 and "
            f"landmark!=unknown'. Received: {self._text!r}"
        )


def _compare(found: Value | None, sign: str, value: Value) -> bool:
    if sign == "!=":
        return not _compare(found, "=", value)
    if found is None:
        return False
    if isinstance(found, list):
        return any(_compare(part, sign, value) for part in found)
    if sign == "~":
        return str(value).casefold() in str(found).casefold()
    both = found, value
    are_numbers = all(isinstance(x, int | float) for x in both)
    first, second = both if are_numbers else map(_shown, both)
    if sign in ("=", "=="):
        return first == second
    # A word is neither before nor after a number.
    if not are_numbers and first[:1].isdigit() != second[:1].isdigit():
        return False
    return _ORDERS[sign](first, second)


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
