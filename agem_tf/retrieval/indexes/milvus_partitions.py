"""Partitions of an index in Milvus, by a field of the metadata.

Photos with equal values of the field are in one partition; those without a
value, or with a list, share another. A filter that a photo can pass only with
some of the values, as `landmark = louvre and year > 2000`, is answered from
their partitions. Which partitions these are is a hint for speed: the filter
itself is applied to their photos, too.

Reference: https://milvus.io/docs/use-partition-key.md
"""

from agem_tf.retrieval.indexes.metadata_filter import (
    EQUAL,
    Condition,
    FieldComparison,
    Joined,
    MetadataFilter,
    typed_value,
    value_text,
)
from agem_tf.retrieval.indexes.milvus_rows import PARTITION, text_number
from agem_tf.retrieval.indexes.photo_metadata import Fields, Value

_WITHOUT_VALUE = 0
# Greater numbers, which no filter can name, may not fit a float.
_GREATEST = 1e300


def partition_of(fields: Fields, field: str) -> int:
    """Returns the number of a photo's partition.

    Args:
        fields: metadata of the photo.
        field: the field that the index is partitioned by.
    """
    value = fields.get(field)
    if value is None or isinstance(value, list):
        return _WITHOUT_VALUE
    return _number(value)


def partition_condition(
    where: MetadataFilter, field: str, has_lists: bool
) -> str | None:
    """Returns which partitions have photos that can pass a filter.

    Args:
        where: the filter.
        field: the field that the index is partitioned by.
        has_lists: whether some photo has a list there.

    Returns:
        A condition for rows, None if any partition may have such photos.
    """
    values = _values(where.condition, field)
    if values is None:
        return None
    numbers = {_number(value) for value in values}
    if has_lists:
        numbers.add(_WITHOUT_VALUE)
    return f"{PARTITION} in {sorted(numbers)}"


def _values(condition: Condition, field: str) -> set[str] | None:
    """Returns the values with which a photo can pass, None for any value."""
    match condition:
        case FieldComparison() if (
            condition.field == field and condition.sign == EQUAL
        ):
            return {condition.value}
        case Joined(parts, need_all):
            found = [_values(part, field) for part in parts]
            known = [values for values in found if values is not None]
            if need_all:
                return min(known, key=len, default=None)
            return set.union(*known) if len(known) == len(found) else None
    return None


def _number(value: Value) -> int:
    """Returns the same for all values that filters regard as equal."""
    value = value_text(value) if isinstance(value, bool) else value
    number = typed_value(value) if isinstance(value, str) else value
    if isinstance(number, str) or abs(number) > _GREATEST:
        return text_number(str(value))
    # Minus zero is zero.
    return text_number(str(float(number) + 0.0))
