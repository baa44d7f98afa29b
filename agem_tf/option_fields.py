"""Options as dataclass fields: default, help and bounds, written once.

A field made by `option` carries its help sentence, its choices and its bounds.
The flags of a command (`agem_tf.cli`), the checks of a recipe
(`agem_tf.config`) and the tables in docs/ all follow from it.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from agem_tf.errors import UserError

_KEY = "agem_tf.option"


@dataclasses.dataclass(frozen=True)
class OptionInfo:
    """Help, choices and bounds of an option.

    Attributes:
        help: a sentence for --help and docs/.
        choices: all values that are allowed, or None.
        minimum: least value allowed, or None.
        above: bound that the value must exceed, or None.
        maximum: greatest value allowed, or None.
        positional: whether a command takes the values without a flag.
    """

    help: str = ""
    choices: tuple[Any, ...] | None = None
    minimum: float | None = None
    above: float | None = None
    maximum: float | None = None
    positional: bool = False

    @property
    def text(self) -> str:
        """The help, with sentences for choices and bounds."""
        bounds = []
        if self.minimum is not None:
            bounds.append(f"at least {self.minimum}")
        if self.above is not None:
            bounds.append(f"above {self.above}")
        if self.maximum is not None:
            bounds.append(f"at most {self.maximum}")
        sentences = [self.help]
        if self.choices:
            sentences.append(f"One of {', '.join(map(str, self.choices))}.")
        if bounds:
            sentences.append(f"{' and '.join(bounds).capitalize()}.")
        return " ".join(sentences)

    def fault(self, value: Any) -> str | None:
        """Returns what is wrong with `value`, such as "must be positive".

        Choices and bounds hold for each member of a tuple or list. None stands
        for an option that was not given and has no fault.
        """
        if value is None:
            return None
        for item in value if isinstance(value, tuple | list) else [value]:
            rule = self._broken_rule(item)
            if rule:
                return f"{rule}, not {value!r}"
        return None

    def _broken_rule(self, item: Any) -> str | None:
        if self.choices is not None and item not in self.choices:
            return f"must be one of {', '.join(map(str, self.choices))}"
        if isinstance(item, float) and not math.isfinite(item):
            return "must be finite"
        if self.minimum is not None and item < self.minimum:
            return f"must be at least {self.minimum}"
        if self.above is not None and item <= self.above:
            bound = "positive" if self.above == 0 else f"above {self.above}"
            return f"must be {bound}"
        if self.maximum is not None and item > self.maximum:
            return f"must be at most {self.maximum}"
        return None


def option(
    default: Any = dataclasses.MISSING,
    help: str = "",
    *,
    factory: Callable[[], Any] | Any = dataclasses.MISSING,
    choices: Sequence[Any] | None = None,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    positional: bool = False,
) -> Any:
    """Returns a dataclass field with an `OptionInfo`.

    Args:
        default: value of the field if it is not given.
        help: what the option does, a sentence.
        factory: makes the default instead, where it is mutable.
        choices, minimum, above, maximum, positional: see `OptionInfo`.
    """
    info = OptionInfo(
        help,
        None if choices is None else tuple(choices),
        minimum,
        above,
        maximum,
        positional,
    )
    return dataclasses.field(
        default=default, default_factory=factory, metadata={_KEY: info}
    )


def required(help: str, **settings: Any) -> Any:
    """As `option`, for a field that must be given."""
    return option(dataclasses.MISSING, help, **settings)


@typing.dataclass_transform(
    kw_only_default=True,
    frozen_default=True,
    field_specifiers=(option, required),
)
def options(cls: type) -> type:
    """Makes a class a frozen dataclass whose options are checked when made.

    The fields are given by keyword. A __post_init__ of the class runs after
    the checks of the single fields.
    """
    own_check = getattr(cls, "__post_init__", None)

    def check_all(self: Any) -> None:
        for field in dataclasses.fields(self):
            fault = info_of(field).fault(getattr(self, field.name))
            if fault:
                raise UserError(f"--{field.name} {fault}.")
        if own_check is not None:
            own_check(self)

    cls.__post_init__ = check_all
    return dataclasses.dataclass(frozen=True, kw_only=True)(cls)


def info_of(field: dataclasses.Field) -> OptionInfo:
    """Returns the `OptionInfo` of a field, an empty one if it has none."""
    return field.metadata.get(_KEY, OptionInfo())


def plain_type(annotation: Any) -> Any:
    """Returns the type of a field's values, without None and alternatives.

    Of `str | Config | None`, where a command takes text and a program may give
    an object, it is the first.
    """
    if isinstance(annotation, types.UnionType):
        return typing.get_args(annotation)[0]
    return annotation


def fields_of(cls: type) -> Iterator[tuple[str, Any, dataclasses.Field]]:
    """Yields name, plain type and field of each option, required ones first."""
    hints = typing.get_type_hints(cls)
    fields = dataclasses.fields(cls)
    for field in sorted(fields, key=lambda each: not _is_required(each)):
        yield field.name, plain_type(hints[field.name]), field


def _is_required(field: dataclasses.Field) -> bool:
    return (
        field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    )


def default_of(field: dataclasses.Field) -> Any:
    """Returns a field's default; `dataclasses.MISSING` if it is required."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default
