"""The one reader of CSV files: lists of photos, ground truths, labels.

All files get the same treatment: UTF-8 with or without a byte order mark, any
line endings, blanks around cells and blank rows ignored. What a spreadsheet of
another language writes instead is recognised and named.
"""

import csv
import os
from collections.abc import Iterable, Iterator, Sequence

from etils import epath

from agem_tf.errors import UserError
from agem_tf.files.locations import check_file

_BYTE_ORDER_MARK = "\ufeff"
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def csv_rows(path: str | os.PathLike) -> Iterator[tuple[int, list[str]]]:
    """Yields the number of the line and the stripped cells of each row.

    Args:
        path: Local or remote (gs://) path.

    Raises:
        UserError: The file is missing, not in UTF-8 or not text, or its cells
            are not separated by commas.
    """
    check_file(path)
    try:
        with epath.Path(path).open("r") as file:
            reader = csv.reader(_without_mark(file))
            is_first = True
            for row in reader:
                cells = [cell.strip() for cell in row]
                if not any(cells):
                    continue
                if any("\0" in cell for cell in cells):
                    raise UserError(
                        f"{path} has bytes of zero, as UTF-16 does; save it "
                        "as UTF-8."
                    )
                if is_first and len(cells) == 1:
                    _check_separator(path, cells[0])
                is_first = False
                yield reader.line_num, cells
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror or error}; give a CSV "
            "file."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{path} is not a CSV in UTF-8 ({error}); save it as UTF-8."
        ) from error


def csv_header(path: str | os.PathLike) -> list[str]:
    """Returns the cells of the first row.

    Raises:
        UserError: The file is empty, or as `csv_rows`.
    """
    for _, cells in csv_rows(path):
        return cells
    raise UserError(f"{path} is empty; give a CSV file with rows.")


def csv_columns(
    path: str | os.PathLike, columns: Sequence[str]
) -> Iterator[list[str]]:
    """Yields the cells of some columns, row by row, below a header.

    Args:
        path: Local or remote (gs://) path.
        columns: Names in the header, in the order of the result.

    Raises:
        UserError: A column is missing, a row has not as many cells as the
            header, or as `csv_rows`.
    """
    rows = csv_rows(path)
    _, header = next(rows, (0, []))
    if not set(columns) <= set(header):
        raise UserError(
            f"{path} must have the columns {', '.join(columns)}. Received: "
            f"{', '.join(header) or 'an empty file'}"
        )
    places = [header.index(column) for column in columns]
    for line, cells in rows:
        if len(cells) != len(header):
            raise UserError(
                f"{path} has a row of {len(cells)} instead of {len(header)} "
                f"cells, {cells[0]!r}, in line {line}; download or write it "
                "again."
            )
        yield [cells[place] for place in places]


def _without_mark(lines: Iterable[str]) -> Iterator[str]:
    lines = iter(lines)
    for line in lines:
        yield line.removeprefix(_BYTE_ORDER_MARK)
        break
    yield from lines


def _check_separator(path: str | os.PathLike, cell: str) -> None:
    for separator, name in _OTHER_SEPARATORS.items():
        if separator in cell:
            raise UserError(
                f"{path} separates its cells by {name}; save it with commas. "
                f"Received: {cell!r}"
            )
