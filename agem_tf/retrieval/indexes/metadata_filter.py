"""Filters of photos by their metadata, as users write them.

    year >= 2020 and landmark != unknown
    place ~ paris or tags in (old, "city hall")
    landmark and not (year < 1990)

A comparison is a field, one of = != < <= > >= ~ (contains, in any case) and a
value; `in` takes several values. A field alone asks whether the photo has it. A
photo without the field satisfies only != and `not`. Values are bare words or
quoted. Numbers are compared as numbers, anything else as text, so that dates as
2020-12-31 are in order; a number in the metadata is neither before nor after a
text. Of a list, one element suffices.
"""

import dataclasses
import operator
import re
from collections.abc import Callable
from typing import Any, NoReturn

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
EQUAL, CONTAINS = "=", "~"
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    EQUAL: operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_SIGNS = {*_COMPARISONS, "==", "!=", CONTAINS}
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d+)?([eE][+-]?\d{1,2})?")


@dataclasses.dataclass(frozen=True)
class HasField:
    """Whether a photo has a field."""

    field: str

    def passes(self, fields: Fields) -> bool:
        return self.field in fields


@dataclasses.dataclass(frozen=True)
class FieldComparison:
    """Comparison of a field with a value.

    Attributes:
        field: the field.
        sign: one of = < <= > >= and ~.
        value: a text; it is compared with a number as the number that it is,
            if it is one.
    """

    field: str
    sign: str
    value: str

    def passes(self, fields: Fields) -> bool:
        found = fields.get(self.field, [])
        parts = found if isinstance(found, list) else [found]
        return any(map(self._fits, parts))

    def _fits(self, found: Value) -> bool:
        if self.sign == CONTAINS:
            return self.value.casefold() in value_text(found).casefold()
        compare = _COMPARISONS[self.sign]
        if isinstance(found, bool):
            return self.sign == EQUAL and value_text(found) == self.value
        if isinstance(found, int | float):
            number = typed_value(self.value)
            return not isinstance(number, str) and compare(found, number)
        # A word is neither before nor after a number.
        is_comparable = begins_with_digit(found) == self.is_of_numbers
        return (self.sign == EQUAL or is_comparable) and compare(
            found, self.value
        )

    @property
    def is_of_numbers(self) -> bool:
        """Whether texts that begin with a digit are before or after it."""
        is_number = not isinstance(typed_value(self.value), str)
        return is_number or begins_with_digit(self.value)


@dataclasses.dataclass(frozen=True)
class Inverted:
    """`not`."""

    part: "Condition"

    def passes(self, fields: Fields) -> bool:
        return not self.part.passes(fields)


@dataclasses.dataclass(frozen=True)
class Joined:
    """`and` or `or` of several conditions.

    Attributes:
        parts: the conditions.
        need_all: whether all of them must hold, or one.
    """

    parts: tuple["Condition", ...]
    need_all: bool

    def passes(self, fields: Fields) -> bool:
        join = all if self.need_all else any
        return join(part.passes(fields) for part in self.parts)


Condition = HasField | FieldComparison | Inverted | Joined


@dataclasses.dataclass(frozen=True)
class MetadataFilter:
    """A filter that was read.

    Attributes:
        condition: what it asks for.
        fields: fields that it names.
    """

    condition: Condition
    fields: frozenset[str]

    def passes(self, fields: Fields) -> bool:
        """Returns whether a photo with some metadata passes it."""
        return self.condition.passes(fields)


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


def value_text(value: Value) -> str:
    """Returns a value of the metadata as filters name it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def begins_with_digit(text: str) -> bool:
    """Returns whether the first character is one of 0 to 9."""
    return "0" <= text[:1] <= "9"


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

    def _either(self) -> Condition:
        parts = [self._all()]
        while self._take("word", "or"):
            parts.append(self._all())
        return _joined(parts, need_all=False)

    def _all(self) -> Condition:
        parts = [self._inverted()]
        while self._take("word", "and"):
            parts.append(self._inverted())
        return _joined(parts, need_all=True)

    def _inverted(self) -> Condition:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._refuse("with too many brackets")
        if self._take("word", "not"):
            found: Condition = Inverted(self._inverted())
        elif self._take("sign", "("):
            found = self._either()
            self._expect(")")
        else:
            found = self._comparison()
        self._depth -= 1
        return found

    def _comparison(self) -> Condition:
        field = self._next("a field")
        self._fields.add(field)
        if self._take("word", "in"):
            self._expect("(")
            values = [self._next("a value")]
            while self._take("sign", ","):
                values.append(self._next("a value"))
            self._expect(")")
            equal = [FieldComparison(field, EQUAL, value) for value in values]
            return _joined(equal, need_all=False)
        if self._tokens and self._tokens[-1][1] in _SIGNS:
            sign = self._tokens.pop()[1]
            value = self._next("a value")
            if sign == "!=":
                return Inverted(FieldComparison(field, EQUAL, value))
            sign = EQUAL if sign == "==" else sign
            return FieldComparison(field, sign, value)
        return HasField(field)

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


def _joined(parts: list[Condition], need_all: bool) -> Condition:
    return parts[0] if len(parts) == 1 else Joined(tuple(parts), need_all)
