"""Provenance of descriptors, and the check that two may be compared.

Descriptors of two models have the same shape and compare without an error;
only a score near zero would show the mistake.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from agem_tf.errors import UserError

# Photos and crops may differ between two sets that are compared, as those of
# queries and database do; these may not.
COMPARED_KEYS = (
    "model",
    "image",
    "scales",
    "resize_by",
    "aggregation",
    "whitening",
)


def normalize_provenance(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the provenance as it reads back from JSON.

    Tuples become lists and NumPy numbers become Python's, so that a value in
    memory equals the saved one.
    """
    return json.loads(json.dumps(dict(provenance), default=_to_python))


def check_same_provenance(
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    first_name: str = "the first descriptors",
    second_name: str = "the second descriptors",
) -> None:
    """Checks that two artifacts have the same model and image settings.

    Args:
        first: Provenance of one artifact.
        second: Provenance of the other.
        first_name: The first in the message, for example its path.
        second_name: The second in the message.

    Raises:
        UserError: any of `COMPARED_KEYS` differs; the message names them all.
    """
    first, second = normalize_provenance(first), normalize_provenance(second)
    differences = [
        f"{key} ({first.get(key)!r} and {second.get(key)!r})"
        for key in COMPARED_KEYS
        if first.get(key) != second.get(key)
    ]
    if differences:
        raise UserError(
            f"{first_name} and {second_name} differ in "
            f"{', '.join(differences)}; make both with the same settings."
        )


def _to_python(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(
        f"provenance must hold what JSON can hold. Received: {value!r}"
    )
