"""Partitions in Milvus: which of them a filter is answered from."""

import numpy as np
import pytest

from agem_tf.retrieval.indexes import Origin, storage_at
from agem_tf.retrieval.indexes.metadata_filter import parse_filter
from agem_tf.retrieval.indexes.milvus_partitions import (
    partition_condition,
    partition_of,
)


def partitions(where, has_lists=False):
    return partition_condition(parse_filter(where), "place", has_lists)


@pytest.mark.parametrize(
    ("where", "places"),
    [
        ("place = Rome", ["Rome"]),
        ("year > 2000 and place = Rome", ["Rome"]),
        ("place in (Rome, Paris)", ["Rome", "Paris"]),
        ("place = Rome or place = Paris and year", ["Rome", "Paris"]),
        ("place in (Rome, Paris) and place = Oslo", ["Oslo"]),
        ("place = 7.0", [7]),
        ("place = 7", ["7"]),
        ("place = true", [True]),
        ("place = -0.0", [0]),
    ],
)
def test_a_filter_is_answered_from_the_partitions_of_its_values(where, places):
    numbers = sorted(partition_of({"place": x}, "place") for x in places)
    assert partitions(where) == f"partition in {numbers}"
    with_lists = sorted([*numbers, partition_of({"place": ["a"]}, "place")])
    assert partitions(where, True) == f"partition in {with_lists}"


@pytest.mark.parametrize(
    "where",
    [
        "year = 2020",
        "place != Rome",
        "not place = Rome",
        "place ~ Rome",
        "place >= Rome",
        "place",
        "place = Rome or year = 2020",
    ],
)
def test_another_filter_is_answered_from_all_partitions(where):
    assert partitions(where) is None


def test_numbers_of_any_size_have_a_partition():
    values = [10**400, 1e300, 10**18, -1, "10" * 5000]
    assert len({partition_of({"n": x}, "n") for x in values}) == 5


def test_photos_lie_in_partitions_of_the_collection(tmp_path):
    pytest.importorskip("milvus_lite")
    storage = storage_at(f"milvus:{tmp_path}/photos.db")
    with storage.created() as draft:
        index = draft.start(
            "exact:partition=place", 16, Origin({"model": "a1b2"})
        )
        index.add(list("abcdefgh"), np.eye(16, dtype=np.float32)[:8])
        for name in "abc":
            draft.metadata.update(name, {"place": "Rome"})
        for name in "de":
            draft.metadata.update(name, {"place": "Oslo"})

    def together(name):
        """Names of the photos in the partition of one."""
        stored = storage.open()
        fields = stored.metadata.of([name])[name]
        number = partition_of(fields, "place")
        return set(stored.index.selected(f"partition == {number}"))

    assert together("a") == {"a", "b", "c"}
    assert together("d") == {"d", "e"}
    assert together("h") == {"f", "g", "h"}
    with storage.changed() as stored:
        stored.index.rename({"b": "renamed"})
        stored.metadata.update("c", {"place": "Oslo"})
        stored.metadata.update("d", {"place": None})
        stored.index.exchange(["e"], ["e"], np.eye(16, dtype=np.float32)[9:10])
    assert together("renamed") == {"a", "renamed"}
    assert together("e") == {"c", "e"}
    assert together("h") == {"d", "f", "g", "h"}
