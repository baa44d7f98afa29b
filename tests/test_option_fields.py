"""Options as dataclass fields: checks, choices and bounds."""

import dataclasses
import math

import pytest

from agem_tf.errors import UserError
from agem_tf.option_fields import (
    default_of,
    fields_of,
    info_of,
    option,
    options,
    required,
)


@options
class Example:
    name: str = required("Name of the example.")
    kind: str = option("a", "Kind of example.", choices=("a", "b"))
    count: int | None = option(None, "Number of examples.", minimum=1)
    scales: tuple[float, ...] = option((1.0,), "Scales.", above=0, maximum=4)


def test_defaults_and_given_values():
    example = Example(name="x", scales=(4.0, 0.5))
    assert example == Example(name="x", kind="a", scales=(4.0, 0.5))
    with pytest.raises(dataclasses.FrozenInstanceError):
        example.name = "y"
    with pytest.raises(TypeError, match="name"):
        Example()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "c"}, "--kind must be one of a, b, not 'c'"),
        ({"count": 0}, "--count must be at least 1, not 0"),
        (
            {"scales": (1.0, 0.0)},
            r"--scales must be positive, not \(1.0, 0.0\)",
        ),
        ({"scales": (5.0,)}, r"--scales must be at most 4, not \(5.0,\)"),
        ({"scales": (math.nan,)}, r"--scales must be finite, not \(nan,\)"),
        ({"scales": (math.inf,)}, r"--scales must be finite, not \(inf,\)"),
    ],
)
def test_a_value_out_of_bounds_is_refused(values, message):
    with pytest.raises(UserError, match=message):
        Example(name="x", **values)


def test_inherited_options_are_checked_before_the_class_s_own():
    @options
    class Derived(Example):
        both: bool = option(False, "Both kinds.")

        def __post_init__(self):
            if self.both and self.kind == "b":
                raise UserError("both")

    with pytest.raises(UserError, match="--kind must"):
        Derived(name="x", kind="c", both=True)
    with pytest.raises(UserError, match="^both$"):
        Derived(name="x", kind="b", both=True)


def test_the_fields_are_described():
    described = {
        name: (kind, field) for name, kind, field in fields_of(Example)
    }
    assert [kind for kind, _ in described.values()] == [
        str,
        str,
        int,
        tuple[float, ...],
    ]
    assert info_of(described["kind"][1]).choices == ("a", "b")
    assert info_of(described["kind"][1]).help == "Kind of example."
    assert default_of(described["name"][1]) is dataclasses.MISSING
    assert default_of(described["scales"][1]) == (1.0,)
