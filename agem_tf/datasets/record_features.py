"""Features of records, which may come from unknown sources.

The checksum of a record says that it was not altered, not what is in it.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError

from agem_tf.errors import UserError

_FIELDS = {bytes: "bytes_list", int: "int64_list"}


def encoded_photo(payload: bytes, name: str) -> bytes:
    """Returns the encoded photo of a record of a prepared dataset.

    Args:
        payload: The bytes of the record.
        name: Name of the photo, for the error.

    Raises:
        UserError: The record has no photo, or several.
    """
    about = f"The entry of {name}", "prepare the dataset with --overwrite"
    return only_value(parse_features(payload, *about), "image", bytes, *about)


def parse_features(
    payload: bytes, record: str, remedy: str
) -> Mapping[str, Any]:
    """Returns the features of a serialized tf.train.Example.

    Args:
        payload: The bytes of a record.
        record: What the error calls the record.
        remedy: What the user can do, which ends the error.

    Raises:
        UserError: The record is something else.
    """
    try:
        return tf.train.Example.FromString(payload).features.feature
    except DecodeError as error:
        raise UserError(
            f"{record} is a record of another kind; {remedy}."
        ) from error


def only_value(
    features: Mapping[str, Any],
    name: str,
    kind: type,
    record: str,
    remedy: str,
) -> Any:
    """Returns the value of a feature that has one.

    Args:
        features: As `parse_features` returns them.
        name: Name of the feature.
        kind: bytes or int.
        record, remedy: See `parse_features`.

    Raises:
        UserError: There is no such feature, its values are of another kind, or
            they are not one.
    """
    values = ()
    # A look-up alone would add the feature.
    if name in features:
        values = getattr(features[name], _FIELDS[kind]).value
    if not values:
        raise UserError(
            f"{record} is a record without {name} as {kind.__name__}; {remedy}."
        )
    if len(values) > 1:
        raise UserError(
            f"{record} has {len(values)} values of {name} instead of one; "
            f"{remedy}."
        )
    return values[0]
