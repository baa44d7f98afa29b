"""Checks of a recipe, made before anything slow runs."""

import dataclasses
import json
import math
import typing
from collections.abc import Iterator
from typing import Any

from agem_tf.config.combinations import impossible_combinations
from agem_tf.config.recipe import Config
from agem_tf.errors import UserError
from agem_tf.option_fields import info_of

_Section = typing.TypeVar("_Section")

# Types of JSON and of literals that are accepted in place of the annotation.
_STAND_INS = {float: int, tuple: list}


def validate(config: Config) -> Config:
    """Checks every field and reports all faults at once.

    Raises:
        UserError: with a phrase per fault.
    """
    faults = list(_faults(config))
    if faults:
        raise UserError("Recipe: " + "; ".join(faults) + ".")
    return config


def read_settings(kind: type[_Section], fields: Any) -> _Section:
    """Returns the section of a recipe whose fields a file holds.

    Args:
        kind: Class of the section, such as `ImageConfig`.
        fields: Value in the file, which is not trusted.

    Raises:
        UserError: A field is unknown, of another type or out of its bounds.
    """
    try:
        section = kind(**fields)
    except TypeError as error:
        raise UserError(f"It is no {kind.__name__} ({error}).") from error
    faults = list(type_faults(section, kind)) or list(_value_faults(section))
    if faults:
        raise UserError(f"{'; '.join(faults)}.")
    return section


def type_faults(value: Any, hint: Any, path: str = "") -> Iterator[str]:
    """Yields a phrase for each value that does not fit its annotation.

    Integers are accepted as floats and lists as tuples; floats must be finite.

    Args:
        value: a recipe, or a value of one of its fields.
        hint: its annotation.
        path: its name in messages, for example "image.size".
    """
    if type(None) in typing.get_args(hint):
        if value is None:
            return
        hint = typing.get_args(hint)[0]
    kind = typing.get_origin(hint) or hint
    name = path or "the recipe"
    # Exact types: True would pass for an integer, a NumPy number isn't JSON.
    if type(value) not in (kind, _STAND_INS.get(kind)):
        yield f"{name} must be of type {kind.__name__}, not {value!r}"
    elif kind is float and not math.isfinite(value):
        yield f"{name} must be finite, not {value}"
    elif kind is dict and not all(isinstance(key, str) for key in value):
        yield f"{name} must have names as keys, not {list(value)}"
    elif kind is dict and not _is_json(value):
        yield (
            f"{name} must hold numbers, texts, lists and dictionaries only, "
            f"not {value!r}"
        )
    else:
        yield from _member_faults(value, hint, path)


def _is_json(value: dict[str, Any]) -> bool:
    """Whether the file of the recipe can hold the value."""
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def _member_faults(value: Any, hint: Any, path: str) -> Iterator[str]:
    if dataclasses.is_dataclass(hint):
        for name, member_hint in typing.get_type_hints(hint).items():
            member_path = f"{path}.{name}".strip(".")
            yield from type_faults(
                getattr(value, name), member_hint, member_path
            )
    elif typing.get_origin(hint) in (tuple, list):
        item_hint = typing.get_args(hint)[0]
        for i, item in enumerate(value):
            yield from type_faults(item, item_hint, f"{path}[{i}]")


def _faults(config: Config) -> Iterator[str]:
    wrong_types = list(type_faults(config, Config))
    if wrong_types:
        yield from wrong_types
        return
    yield from _value_faults(config)
    yield from impossible_combinations(config)


def _value_faults(section: Any, path: str = "") -> Iterator[str]:
    """Yields a phrase for each value out of its field's choices or bounds."""
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        member_path = f"{path}.{field.name}".strip(".")
        if dataclasses.is_dataclass(value):
            yield from _value_faults(value, member_path)
        elif isinstance(value, list) and any(
            map(dataclasses.is_dataclass, value)
        ):
            for i, member in enumerate(value):
                yield from _value_faults(member, f"{member_path}[{i}]")
        elif fault := info_of(field).fault(value):
            yield f"{member_path} {fault}"
