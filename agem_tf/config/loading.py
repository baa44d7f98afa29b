"""Recipe files, overrides from the command line, and recipes as JSON."""

import ast
import contextlib
import dataclasses
import difflib
import json
import pathlib
import runpy
import sys
import typing
from collections.abc import Iterator, Sequence
from typing import Any

from agem_tf.config import Config, ModelConfig, named_network, type_faults
from agem_tf.errors import UserError
from agem_tf.files.locations import check_local

# Fields that belong to one loss.
_LOSS_OPTIONS = ("options", "classifier_options")


def load_recipe(path: str | pathlib.Path) -> Config:
    """Runs get_config() of a recipe file, which may import its neighbours.

    Raises:
        UserError: the file is missing, fails, or returns no recipe.
    """
    check_local(path, "--config")
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"No recipe at {path}; give --config=FILE.py.")
    try:
        with _importing_from(path.parent):
            names = runpy.run_path(str(path))
            recipe = names["get_config"]() if "get_config" in names else None
    except Exception as error:  # A recipe is a program and may raise anything.
        raise UserError(
            f"Recipe {path} does not load: {type(error).__name__}: {error}."
        ) from error
    if "get_config" not in names:
        raise UserError(f"Recipe {path} has no get_config().")
    faults = "; ".join(type_faults(recipe, Config))
    if faults:
        raise UserError(f"Recipe {path}: {faults}.")
    return recipe


@contextlib.contextmanager
def _importing_from(folder: pathlib.Path) -> Iterator[None]:
    """Lets recipes import recipes of their folder inside this block."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder.resolve()))
    try:
        yield
    finally:
        sys.path.remove(str(folder.resolve()))
        for name in set(sys.modules) - before:
            source = getattr(sys.modules[name], "__file__", None)
            if source and pathlib.Path(source).parent == folder.resolve():
                del sys.modules[name]


def override_recipe(config: Config, assignments: Sequence[str]) -> Config:
    """Applies "section.field=value" assignments, in order and in place.

    Values are Python literals; a bare word is a string. model=NAME sets the
    whole section to a named network. Changing loss.name empties loss.options
    and loss.classifier_options, unless they are set too.

    Raises:
        UserError: an unknown field, or a value of another type.
    """
    loss = config.loss.name
    pairs = [_split(assignment) for assignment in assignments]
    for path, text in pairs:
        _assign(config, path, text)
    given = dict(pairs)
    if config.loss.name != loss and "loss" not in given:
        for field in _LOSS_OPTIONS:
            if f"loss.{field}" not in given:
                setattr(config.loss, field, {})
    return config


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Parses "name=value" pairs, for example options of a dataset builder.

    Raises:
        UserError: one has no "=".
    """
    return {name: _literal(text) for name, text in map(_split, assignments)}


def recipe_to_dict(config: Config) -> dict[str, Any]:
    """Returns the recipe as plain JSON types."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def recipe_from_dict(values: dict[str, Any]) -> Config:
    """Rebuilds a recipe from `recipe_to_dict`'s result.

    Raises:
        UserError: an unknown field, or a value of another type.
    """
    return _decode(values, Config, "")


def recipe_differences(first: Any, second: Any, path: str = "") -> list[str]:
    """Returns the fields in which two `recipe_to_dict` results differ."""
    if isinstance(first, dict) and isinstance(second, dict):
        return [
            line
            for key in sorted(first.keys() | second.keys())
            for line in recipe_differences(
                first.get(key), second.get(key), f"{path}.{key}".strip(".")
            )
        ]
    return [] if first == second else [f"{path} ({first!r}, {second!r})"]


def _assign(config: Config, path: str, text: str) -> None:
    *sections, field = path.split(".")
    target = config
    for section in sections:
        _check_field(target, section, path)
        target = getattr(target, section)
    _check_field(target, field, path)
    hint = typing.get_type_hints(type(target))[field]
    setattr(target, field, _decode(_read(text, hint), hint, path))


def _check_field(section: Any, name: str, path: str) -> None:
    """Checks that a dataclass, or an instance of one, has a field."""
    if isinstance(section, dict):
        raise UserError(
            f"{path}: a dictionary is set as a whole, as in "
            "loss.options={'margin': 1}."
        )
    known = []
    if dataclasses.is_dataclass(section):
        known = sorted(field.name for field in dataclasses.fields(section))
    if name not in known:
        guess = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {guess[0]!r}?" if guess else "."
        raise UserError(
            f"The recipe has no field {path!r}{hint} "
            f"Known here: {', '.join(known) or 'none'}."
        )


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


def _read(text: str, hint: Any) -> Any:
    """Parses a literal; a number for a text field stays text."""
    value = _literal(text)
    is_text = value is None or isinstance(value, str)
    return text if hint in (str, str | None) and not is_text else value


def _decode(value: Any, hint: Any, path: str) -> Any:
    """Converts a literal or JSON value to an annotated type."""
    value = _convert(value, hint, path)
    for fault in type_faults(value, hint, path):
        raise UserError(f"Recipe: {fault}.")
    return value


def _convert(value: Any, hint: Any, path: str) -> Any:
    origin = typing.get_origin(hint)
    if hint is ModelConfig and isinstance(value, str):
        return named_network(value)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return _build(hint, value, path)
    if origin in (tuple, list):
        item_hint = typing.get_args(hint)[0]
        return origin(
            _convert(item, item_hint, f"{path}[{i}]")
            for i, item in enumerate(_items(value))
        )
    if hint is float and type(value) is int:
        return float(value)
    return value


def _build(kind: Any, values: dict[str, Any], path: str) -> Any:
    hints = typing.get_type_hints(kind)
    fields = {}
    for name, value in values.items():
        field_path = f"{path}.{name}".strip(".")
        _check_field(kind, str(name), field_path)
        fields[name] = _convert(value, hints[name], field_path)
    try:
        return kind(**fields)
    except TypeError as error:
        raise UserError(f"Recipe: {path} is incomplete: {error}.") from error


def _items(value: Any) -> Sequence[Any]:
    """Returns the members of a sequence or of "a,b", or the single value."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value if isinstance(value, list | tuple) else [value]
