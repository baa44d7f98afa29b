"""Items on the disk instead of in memory, in the order of a key.

Lists of a hundred million photos are sorted so. SQLite keeps them in a file
that no other process sees and that vanishes with the list.
"""

import marshal
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from agem_tf.errors import UserError
from agem_tf.files.locations import large_temporary_directory

_Item = TypeVar("_Item", bound=NamedTuple)
# Kibibytes of memory of a list, which also sorts in them.
_MEMORY = 2**14


class StoredItems(Collection, Generic[_Item]):
    """Collection of named tuples that is read again and again, in order.

    Args:
        item_type: type of the items, a named tuple of plain values.
        items: the items.
        key: returns the bytes by which items are sorted; equal ones keep their
            order.

    Raises:
        UserError: the directory for temporary files is full.
    """

    def __init__(
        self,
        item_type: type[_Item],
        items: Iterable[_Item],
        key: Callable[[_Item], bytes],
    ) -> None:
        self._type = item_type
        self._database = sqlite3.connect("")  # A temporary file.
        self._database.execute(f"PRAGMA cache_size=-{_MEMORY}")
        self._database.execute("CREATE TABLE given (key BLOB, item BLOB)")
        rows = ((key(item), marshal.dumps(tuple(item))) for item in items)
        try:
            inserted = self._database.executemany(
                "INSERT INTO given VALUES (?, ?)", rows
            )
            # Sorted once, however often it is read.
            self._database.execute(
                "CREATE TABLE items AS SELECT item FROM given "
                "ORDER BY key, rowid"
            )
            self._database.execute("DROP TABLE given")
        except sqlite3.OperationalError as error:
            raise _full(error) from error
        self._count = max(inserted.rowcount, 0)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, item: object) -> bool:
        return any(item == own for own in self)

    def __iter__(self) -> Iterator[_Item]:
        try:
            rows = self._database.execute(
                "SELECT item FROM items ORDER BY rowid"
            )
            for (values,) in rows:
                yield self._type(*marshal.loads(values))
        except sqlite3.OperationalError as error:
            raise _full(error) from error


def _full(error: sqlite3.Error) -> UserError:
    return UserError(
        f"{large_temporary_directory()} can't hold a temporary list of photos "
        f"({error}); set the environment variable TMPDIR to another directory."
    )
