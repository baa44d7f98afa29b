"""Recipe files, overrides from the command line, and recipes as JSON."""

import ast
import dataclasses
import difflib
import importlib.util
import json
import pathlib
import typing
from collections.abc import Sequence
from typing import Any

from agem_tf.config import Config
from agem_tf.errors import UserError


def load(path: str | pathlib.Path) -> Config:
    """Runs get_config() of a recipe file.

    Raises:
        UserError: the file is missing, or has no get_config.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"No recipe at {path}; give --config=FILE.py.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        return module.get_config()
    except (AttributeError, TypeError, SyntaxError) as error:
        raise UserError(f"Recipe {path} does not load: {error}.") from error


def override(config: Config, assignments: Sequence[str]) -> Config:
    """Applies "section.field=value" assignments, in order, in place.

    Values are Python literals; a bare word is a string.

    Raises:
        UserError: an unknown field, or a value of another type.
    """
    for assignment in assignments:
        _assign(config, *_split(assignment))
    return config


def parse_options(assignments: Sequence[str]) -> dict[str, Any]:
    """Reads "name=value" pairs, such as the options of a dataset builder.

    Raises:
        UserError: one has no "=".
    """
    return {name: _literal(text) for name, text in map(_split, assignments)}


def to_dict(config: Config) -> dict[str, Any]:
    """Returns the recipe as plain JSON types."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def from_dict(values: dict[str, Any], kind: Any = Config) -> Any:
    """Rebuilds a recipe from `to_dict`'s result."""
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise UserError(_unknown_field(kind, unknown[0]))
    return kind(**{n: _decode(v, hints[n]) for n, v in values.items()})


def differences(first: Any, second: Any, path: str = "") -> list[str]:
    """Names the fields in which two `to_dict` results differ."""
    if isinstance(first, dict) and isinstance(second, dict):
        return [
            line
            for key in sorted(first.keys() | second.keys())
            for line in differences(
                first.get(key), second.get(key), f"{path}.{key}".strip(".")
            )
        ]
    return [] if first == second else [f"{path} ({first!r}, {second!r})"]


def _assign(config: Any, path: str, text: str) -> None:
    *sections, field = path.split(".")
    target = config
    for section in sections:
        target = _child(target, section, path)
    if not dataclasses.is_dataclass(target):
        raise UserError(f"{path} is not a field of the recipe.")
    hints = typing.get_type_hints(type(target))
    if field not in hints:
        raise UserError(_unknown_field(type(target), path))
    try:
        setattr(target, field, _decode(_literal(text), hints[field]))
    except TypeError as error:
        raise UserError(f"{path} must be {error}. Received: {text}") from error


def _split(assignment: str) -> tuple[str, str]:
    name, separator, text = assignment.partition("=")
    if not separator:
        raise UserError(f"Write name=value. Received: {assignment!r}")
    return name.strip(), text.strip()


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _child(target: Any, section: str, path: str) -> Any:
    if not dataclasses.is_dataclass(target) or not hasattr(target, section):
        raise UserError(_unknown_field(type(target), path))
    return getattr(target, section)


def _unknown_field(kind: Any, path: str) -> str:
    known = sorted(typing.get_type_hints(kind))
    name = path.split(".")[-1]
    guess = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {guess[0]!r}" if guess else ""
    return (
        f"The recipe has no field {path!r}{hint}? Known here: "
        f"{', '.join(known)}"
    )


def _decode(value: Any, hint: Any) -> Any:
    """Fits a literal to a field's annotation, or raises TypeError."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if type(None) in arguments:
        return None if value is None else _decode(value, arguments[0])
    if dataclasses.is_dataclass(hint):
        return from_dict(value, hint)
    if origin in (tuple, list):
        items = value if isinstance(value, list | tuple) else [value]
        return origin(_decode(item, arguments[0]) for item in items)
    if origin is dict:
        hint = dict
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise TypeError(f"of type {hint.__name__}")
    return value
