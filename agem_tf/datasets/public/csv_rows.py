"""Rows of published CSV files, by the names of their columns."""

import csv
from collections.abc import Iterator, Sequence

import tensorflow as tf

from agem_tf.errors import UserError


def read_rows(path: str, columns: Sequence[str]) -> Iterator[list[str]]:
    """Yields the cells of some columns, row by row.

    Args:
        path: of any file system that TensorFlow knows; the first row is a
            header.
        columns: which cells, and in which order.

    Raises:
        UserError: a column is missing, or a row is cut off.
    """
    with tf.io.gfile.GFile(path) as file:
        try:
            yield from _cells(path, csv.reader(file), columns)
        except (UnicodeDecodeError, csv.Error) as error:
            raise UserError(
                f"{path} is not a CSV in UTF-8 ({error}); download it again."
            ) from error


def _cells(
    path: str, rows: Iterator[list[str]], columns: Sequence[str]
) -> Iterator[list[str]]:
    header = next(rows, [])
    if not set(columns) <= set(header):
        raise UserError(
            f"{path} must have the columns {', '.join(columns)}. Received: "
            f"{', '.join(header) or 'an empty file'}"
        )
    places = [header.index(column) for column in columns]
    for row in rows:
        if row and len(row) != len(header):
            raise UserError(
                f"{path} has a row of {len(row)} instead of {len(header)} "
                f"cells, {row[0]!r}; download it again."
            )
        if row:
            yield [row[place] for place in places]
