"""Filters by metadata as Milvus reads them, so that servers do the filtering.

Metadata are in the JSON field `photo` of a row: "fields" has the values,
"folded" each of them as text in lower case, because Milvus compares letters by
their case, and "numbers" and "texts" those that have an order, because in
Milvus neither a comparison of different types nor its opposite passes. For the
same reason every comparison asks whether the value exists. Milvus does not
order the elements of a list.

Reference: https://milvus.io/docs/boolean.md
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from agem_tf.errors import UserError
from agem_tf.retrieval.indexes.metadata_filter import (
    CONTAINS,
    EQUAL,
    Condition,
    FieldComparison,
    HasField,
    Inverted,
    Joined,
    MetadataFilter,
    typed_value,
    value_text,
)
from agem_tf.retrieval.indexes.photo_metadata import Fields

FIELDS = "fields"
_FOLDED, _NUMBERS, _TEXTS = "folded", "numbers", "texts"
# Joins the elements of a list in "folded".
_SEPARATOR = "\n"
_CONTROL = re.compile(r"[\x00-\x1f]")
# Characters that `like` takes for others; Milvus Lite has no escape for them.
_WILD = re.compile(r"[%_\\]")


def filterable(fields: Fields) -> dict[str, Any]:
    """Returns the entries of a row that its metadata are found by."""
    folded, numbers, texts = {}, {}, {}
    for field, value in fields.items():
        parts = value if isinstance(value, list) else [value]
        text = _SEPARATOR.join(map(value_text, parts))
        folded[field] = text.casefold()
        if isinstance(value, str):
            texts[field] = value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            numbers[field] = value
    return {
        FIELDS: dict(fields),
        _FOLDED: folded,
        _NUMBERS: numbers,
        _TEXTS: texts,
    }


def metadata_in(photo: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the metadata of a row."""
    return photo.get(FIELDS, {})


def milvus_expression(where: MetadataFilter, lists: Collection[str]) -> str:
    """Returns a filter as a boolean expression of Milvus.

    Args:
        where: the filter.
        lists: fields that have a list in some photo.

    Raises:
        UserError: Milvus has no expression for it.
    """
    return _expression(where.condition, lists)


def _expression(condition: Condition, lists: Collection[str]) -> str:
    match condition:
        case HasField(field):
            return f"exists {_path(FIELDS, field)}"
        case Inverted(part):
            return f"not ({_expression(part, lists)})"
        case Joined(parts, need_all):
            word = " and " if need_all else " or "
            return word.join(f"({_expression(part, lists)})" for part in parts)
        case FieldComparison(field):
            return _comparison(condition, field in lists)


def _comparison(comparison: FieldComparison, is_list: bool) -> str:
    field, value = comparison.field, comparison.value
    if comparison.sign == EQUAL:
        return _equal(field, value, is_list)
    if comparison.sign == CONTAINS:
        if _WILD.search(value):
            raise UserError(
                "In Milvus a filter by ~ can't contain %, _ or \\; leave them "
                f"out, or give =. Received: {field}~{value}"
            )
        path, pattern = _path(_FOLDED, field), f"%{value.casefold()}%"
        return f"exists {path} and {path} like {_quoted(pattern)}"
    if is_list:
        raise UserError(
            f"Some photos have a list of {field!r}, which Milvus can't order; "
            f"give = or ~. Received: {field}{comparison.sign}{value}"
        )
    return _ordered(comparison)


def _equal(field: str, value: str, is_list: bool) -> str:
    path, number = _path(FIELDS, field), typed_value(value)
    values = [_quoted(value)]
    if not isinstance(number, str):
        values.append(repr(number))
    elif value in ("true", "false"):
        values.append(value)
    tests = [f"{path} == {each}" for each in values]
    if is_list:
        tests += [f"json_contains({path}, {each})" for each in values]
    return f"exists {path} and ({' or '.join(tests)})"


def _ordered(comparison: FieldComparison) -> str:
    field, sign = comparison.field, comparison.sign
    path, number = _path(_TEXTS, field), typed_value(comparison.value)
    # ":" comes after "9".
    comparable = (
        f'{path} >= "0" and {path} < ":"'
        if comparison.is_of_numbers
        else f'({path} < "0" or {path} >= ":")'
    )
    test = f"{path} {sign} {_quoted(comparison.value)} and {comparable}"
    test = f"(exists {path} and {test})"
    if isinstance(number, str):
        return test
    path = _path(_NUMBERS, field)
    return f"{test} or (exists {path} and {path} {sign} {number!r})"


def _path(part: str, field: str) -> str:
    return f"photo[{_quoted(part)}][{_quoted(field)}]"


def _quoted(text: str) -> str:
    if _CONTROL.search(text):
        raise UserError(
            "In Milvus a filter can't contain line breaks or tabs; leave them "
            f"out. Received: {text!r}"
        )
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
