"""Items on the disk instead of in memory, in the order of a key.

Lists of a hundred million photos are sorted so. SQLite keeps them in a file
that no other process sees and that vanishes with the list.
"""

import marshal
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Generic, NamedTuple, Self, TypeVar

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
        rows = (("", key(item), item) for item in items)
        database, places = _sorted_table(rows)
        self._open(item_type, database, places.get("", (1, 0)))

    @classmethod
    def by_group(
        cls,
        item_type: type[_Item],
        groups: Collection[str],
        items: Iterable[tuple[str, _Item]],
        key: Callable[[str, _Item], bytes],
    ) -> dict[str, Self]:
        """Returns a collection per group; the items are read once for all.

        Args:
            item_type: see the class.
            groups: names of the groups.
            items: name of the group, and item.
            key: called with both; see the class.
        """
        rows = ((group, key(group, item), item) for group, item in items)
        database, places = _sorted_table(rows)
        collections = {}
        for group in groups:
            collections[group] = cls.__new__(cls)
            place = places.get(group, (1, 0))
            collections[group]._open(item_type, database, place)
        return collections

    def _open(
        self,
        item_type: type[_Item],
        database: sqlite3.Connection,
        place: tuple[int, int],
    ) -> None:
        self._type, self._database = item_type, database
        self._first, self._count = place

    def __len__(self) -> int:
        return self._count

    def __contains__(self, item: object) -> bool:
        return any(item == own for own in self)

    def __iter__(self) -> Iterator[_Item]:
        last = self._first + self._count - 1
        try:
            rows = self._database.execute(
                "SELECT item FROM items WHERE rowid BETWEEN ? AND ? "
                "ORDER BY rowid",
                (self._first, last),
            )
            for (values,) in rows:
                yield self._type(*marshal.loads(values))
        except sqlite3.OperationalError as error:
            raise _full(error) from error


def _sorted_table(
    rows: Iterable[tuple[str, bytes, NamedTuple]],
) -> tuple[sqlite3.Connection, dict[str, tuple[int, int]]]:
    """Sorts items on the disk.

    Args:
        rows: group, key and item.

    Returns:
        A database with the table `items`, and the first row and the number of
        rows of each group.
    """
    database = sqlite3.connect("")  # A temporary file.
    database.execute(f"PRAGMA cache_size=-{_MEMORY}")
    database.execute("CREATE TABLE given (name TEXT, key BLOB, item BLOB)")
    try:
        database.executemany(
            "INSERT INTO given VALUES (?, ?, ?)",
            ((name, key, marshal.dumps(tuple(x))) for name, key, x in rows),
        )
        # Sorted once, however often it is read.
        database.execute(
            "CREATE TABLE items AS SELECT item, name FROM given "
            "ORDER BY name, key, rowid"
        )
        database.execute("DROP TABLE given")
        found = database.execute(
            "SELECT name, min(rowid), count(*) FROM items GROUP BY name"
        )
        return database, {name: (first, n) for name, first, n in found}
    except sqlite3.OperationalError as error:
        raise _full(error) from error


def _full(error: sqlite3.Error) -> UserError:
    return UserError(
        f"{large_temporary_directory()} can't hold a temporary list of photos "
        f"({error}); set the environment variable TMPDIR to another directory."
    )
