"""Compare indexes of this package with FAISS, LanceDB, Milvus and Qdrant.

    pip install faiss-cpu lancedb qdrant-client 'pymilvus[milvus-lite]'
    python experiments/benchmarks/index_peers.py

All of them store the same named vectors on disk, are opened again and searched
in a process of their own. Those that are not installed are left out. Qdrant is
its local mode, which compares all vectors. Memory is that of the process
without the pages of files, after the searches. FAISS stores no names; the
others return them.
"""

import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from absl import app, flags
from measuring import anonymous_bytes, print_table

from agem_tf.retrieval.indexes import Origin, storage_at

_PHOTOS = flags.DEFINE_integer("photos", 100_000, "Vectors to store.")
_DIMENSION = flags.DEFINE_integer("dimension", 512, "Of the vectors.")
_DIRECTORY = flags.DEFINE_string("directory", None, "For files; temporary.")
_PEER = flags.DEFINE_multi_string("peer", None, "Compare these only.")
_WORK = flags.DEFINE_string("work", None, "Part that a process measures.")
_BATCH, _TOP, _REPEATS, _CLUSTER = 100, 10, 5, 20


class _Ours:
    def __init__(self, place: str | pathlib.Path, factory: str = "exact"):
        self._storage, self._factory = storage_at(str(place)), factory

    def make(self, names: list[str], rows: np.ndarray) -> None:
        with self._storage.created() as draft:
            index = draft.start(self._factory, rows.shape[1], Origin({}))
            index.add(names, rows)

    def open(self) -> None:
        self._index = self._storage.open().index

    def add(self, name: str, row: np.ndarray) -> None:
        with self._storage.changed() as stored:
            stored.index.add([name], row[np.newaxis])

    def search(self, queries: np.ndarray) -> list[list[str]]:
        found = self._index.search(queries, _TOP)
        return [[match.name for match in matches] for matches in found]


class _Faiss:
    def __init__(self, directory: pathlib.Path, factory: str):
        self._path, self._factory = directory / "index.faiss", factory

    def make(self, names: list[str], rows: np.ndarray) -> None:
        import faiss

        metric = faiss.METRIC_INNER_PRODUCT
        self._index = faiss.index_factory(rows.shape[1], self._factory, metric)
        self._index.add(rows)
        faiss.write_index(self._index, str(self._path))

    def open(self) -> None:
        import faiss

        self._index = faiss.read_index(str(self._path))
        if "HNSW" in self._factory:
            self._index.hnsw.efSearch = 64

    def add(self, name: str, row: np.ndarray) -> None:
        import faiss

        self.open()
        self._index.add(row[np.newaxis])
        faiss.write_index(self._index, str(self._path))

    def search(self, queries: np.ndarray) -> list[list[str]]:
        _, rows = self._index.search(queries, _TOP)
        return [[f"{row}.jpg" for row in found] for found in rows]


class _LanceDB:
    def __init__(self, directory: pathlib.Path):
        self._place = str(directory / "lance")

    def make(self, names: list[str], rows: np.ndarray) -> None:
        import lancedb
        import pyarrow

        lists = pyarrow.FixedSizeListArray.from_arrays(
            pyarrow.array(rows.reshape(-1)), rows.shape[1]
        )
        table = pyarrow.table({"name": names, "vector": lists})
        lancedb.connect(self._place).create_table("photos", table)

    def open(self) -> None:
        import lancedb

        self._table = lancedb.connect(self._place).open_table("photos")

    def add(self, name: str, row: np.ndarray) -> None:
        self.open()
        self._table.add([{"name": name, "vector": row}])

    def search(self, queries: np.ndarray) -> list[list[str]]:
        search = self._table.search(list(queries)).distance_type("dot")
        rows = search.select(["name", "_distance"]).limit(_TOP).to_arrow()
        return np.reshape(rows["name"].to_pylist(), (len(queries), -1)).tolist()


class _Qdrant:
    def __init__(self, directory: pathlib.Path):
        self._place = str(directory / "qdrant")

    def make(self, names: list[str], rows: np.ndarray) -> None:
        from qdrant_client import models

        self.open()
        space = models.VectorParams(
            size=rows.shape[1], distance=models.Distance.DOT
        )
        self._client.create_collection("photos", space)
        self._client.upload_collection(
            "photos", rows, [{"name": name} for name in names]
        )
        self._client.close()

    def open(self) -> None:
        from qdrant_client import QdrantClient

        self._client = QdrantClient(path=self._place)

    def add(self, name: str, row: np.ndarray) -> None:
        from qdrant_client import models

        self.open()
        point = models.PointStruct(
            id=10**12, vector=row.tolist(), payload={"name": name}
        )
        self._client.upsert("photos", [point])
        self._client.close()

    def search(self, queries: np.ndarray) -> list[list[str]]:
        def found(query: np.ndarray) -> list[str]:
            result = self._client.query_points("photos", query, limit=_TOP)
            return [point.payload["name"] for point in result.points]

        return [found(query) for query in queries]


_PEERS: dict[str, tuple[str, Callable[[pathlib.Path], Any]]] = {
    "agem_tf, exact": ("agem_tf", lambda place: _Ours(place / "index")),
    "agem_tf, HNSW32": (
        "faiss",
        lambda place: _Ours(place / "index", "HNSW32"),
    ),
    "agem_tf, Milvus Lite": (
        "milvus_lite",
        lambda place: _Ours(f"milvus:{place}/photos.db", "FLAT"),
    ),
    "FAISS flat": ("faiss", lambda place: _Faiss(place, "Flat")),
    "FAISS HNSW32": ("faiss", lambda place: _Faiss(place, "HNSW32")),
    "LanceDB": ("lancedb", _LanceDB),
    "Qdrant, local": ("qdrant_client", _Qdrant),
}
_PARTS = ("make", "open", "add")


def main(argv: list[str]) -> None:
    """Prints the table, or measures one part of a peer in this process."""
    del argv
    if _WORK.value:
        print(json.dumps(_measure(_PEER.value[0], _WORK.value)))
        return
    with tempfile.TemporaryDirectory(dir=_DIRECTORY.value) as directory:
        rows = _vectors()
        np.save(pathlib.Path(directory, "rows.npy"), rows)
        np.save(
            pathlib.Path(directory, "best.npy"),
            np.argsort(-(rows[-_BATCH:] @ rows[:-_BATCH].T))[:, :_TOP],
        )
        print_table(
            _row(name, directory)
            for name in _PEER.value or _PEERS
            if _is_installed(name)
        )


def _is_installed(name: str) -> bool:
    package, _ = _PEERS[name]
    if importlib.util.find_spec(package) is None:
        print(f"{name} is left out: {package} is not installed.", flush=True)
        return False
    return True


def _row(name: str, directory: str) -> dict[str, object]:
    measured = {}
    for part in _PARTS:
        command = [
            *(sys.executable, __file__, f"--peer={name}", f"--work={part}"),
            f"--directory={directory}",
        ]
        lines = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        measured |= json.loads(lines.stdout.splitlines()[-1])
    return {"index": name, **measured}


def _measure(name: str, part: str) -> dict[str, str]:
    directory = pathlib.Path(_DIRECTORY.value)
    rows = np.load(directory / "rows.npy", mmap_mode="r")
    rows, queries = rows[:-_BATCH], np.array(rows[-_BATCH:])
    place = directory / name
    place.mkdir(exist_ok=True)
    peer = _PEERS[name][1](place)
    if part == "make":
        names = [f"{number}.jpg" for number in range(len(rows))]
        seconds = _seconds(lambda: peer.make(names, rows))
        size = sum(f.stat().st_size for f in place.rglob("*") if f.is_file())
        return {"make, s": f"{seconds:.1f}", "MB": f"{size / 1e6:.0f}"}
    if part == "add":
        seconds = _seconds(lambda: peer.add("new.jpg", queries[0]))
        return {"add one, s": f"{seconds:.2f}"}
    before = anonymous_bytes()
    opened = _seconds(peer.open)
    found = peer.search(queries)
    one = min(_seconds(lambda: peer.search(queries[:1])) for _ in range(25))
    many = min(_seconds(lambda: peer.search(queries)) for _ in range(_REPEATS))
    best = np.load(directory / "best.npy")
    hits = [
        len({f"{row}.jpg" for row in wanted} & set(ours))
        for wanted, ours in zip(best, found, strict=True)
    ]
    return {
        "open, s": f"{opened:.2f}",
        "search by 1, ms": f"{1000 * one:.1f}",
        f"by {_BATCH}, s": f"{many:.2f}",
        f"recall@{_TOP}": f"{np.mean(hits) / _TOP:.3f}",
        "MiB": f"{(anonymous_bytes() - before) / 2**20:.0f}",
    }


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _vectors() -> np.ndarray:
    """Returns vectors in clusters, as those of landmarks; queries are last."""
    rng = np.random.default_rng(0)
    count = _PHOTOS.value + _BATCH
    shape = count // _CLUSTER, _DIMENSION.value
    centres = rng.standard_normal(shape, np.float32)
    rows = centres[rng.integers(len(centres), size=count)]
    rows += rng.standard_normal(rows.shape, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


if __name__ == "__main__":
    app.run(main)
