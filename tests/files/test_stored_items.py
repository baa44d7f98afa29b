"""Lists that are sorted on the disk."""

import resource
from typing import NamedTuple

import pytest

from agem_tf.errors import UserError
from agem_tf.files import stored_items
from agem_tf.files.stored_items import StoredItems


class Item(NamedTuple):
    name: str
    box: tuple[float, ...] | None = None


def by_name(item):
    return item.name.encode(errors="surrogatepass")


def test_items_come_back_in_the_order_of_their_keys():
    items = [Item("b", (1.5, 2.0)), Item("c\udcff"), Item("a\n'")]
    stored = StoredItems(Item, iter(items), by_name)
    assert len(stored) == 3
    assert list(stored) == [items[2], items[0], items[1]]
    assert list(stored) == [items[2], items[0], items[1]]


def test_items_of_equal_keys_keep_their_order():
    items = [Item(str(number)) for number in range(100)]
    stored = StoredItems(Item, items, lambda item: b"")
    assert list(stored) == items


def test_no_items_are_empty():
    stored = StoredItems(Item, [], by_name)
    assert len(stored) == 0
    assert list(stored) == []


def test_groups_are_sorted_in_one_reading():
    items = [Item(letter) for letter in "dacb"]
    given = iter([("odd" if x.name in "ac" else "even", x) for x in items])
    stored = StoredItems.by_group(
        Item, ["even", "odd", "none"], given, lambda group, item: by_name(item)
    )
    assert list(stored) == ["even", "odd", "none"]
    names = {k: [x.name for x in each] for k, each in stored.items()}
    assert names == {"even": ["b", "d"], "odd": ["a", "c"], "none": []}
    assert [len(each) for each in stored.values()] == [2, 2, 0]
    # Two are read in turn, as when splits are written at the same time.
    pairs = zip(stored["even"], stored["odd"], strict=True)
    assert [(a.name, b.name) for a, b in pairs] == [("b", "a"), ("d", "c")]


def test_a_full_disk_is_named(monkeypatch):
    monkeypatch.setattr(stored_items, "_MEMORY", 64)
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, most))
    try:
        with pytest.raises(UserError, match="can't hold .*TMPDIR"):
            StoredItems(Item, [Item("x" * 1000)] * 5000, by_name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))
