"""Indexes in Milvus Lite and on a server, and invalid addresses."""

import socket
import subprocess
import sys

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.retrieval.indexes import Origin, milvus_index, storage_at
from agem_tf.retrieval.indexes.exact_index import ExactIndex

pytest.importorskip("milvus_lite")


@pytest.fixture
def place(tmp_path):
    return f"milvus:{tmp_path}/photos.db"


@pytest.mark.parametrize("factory", ["exact", "HNSW", "IVF_SQ8", "AUTOINDEX"])
def test_milvus_finds_the_photos_of_exact_search(
    factory, make, place, names, descriptors
):
    exact = ExactIndex(16)
    exact.add(names, descriptors)
    stored = make(factory, place, photos="/photos").open()
    assert stored.origin.provenance == {"model": "a1b2"}
    assert stored.origin.photos == "/photos"
    for expected, found in zip(
        exact.search(descriptors[::29], 5),
        stored.index.search(descriptors[::29], 5),
        strict=True,
    ):
        expected, found = (
            {match.name: match.similarity for match in matches}
            for matches in (expected, found)
        )
        common = expected.keys() & found.keys()
        assert len(common) >= 4
        for name in common:
            assert dict(expected)[name] == pytest.approx(
                dict(found)[name], abs=0.02
            )


def test_another_process_can_search_the_index(place):
    code = (
        "import sys, numpy as np\n"
        "from agem_tf.retrieval.indexes import Origin, storage_at\n"
        "rows = np.eye(16, dtype=np.float32)\n"
        "with storage_at(sys.argv[1]).created() as draft:\n"
        "    index = draft.start('IVF_FLAT', 16, Origin({'model': 'a1b2'}))\n"
        "    index.add(list('ABCDEFGHIJKLMNOP'), rows)\n"
    )
    arguments = [sys.executable, "-c", code, place]
    result = subprocess.run(arguments, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    stored = storage_at(place).open()
    for cells in (1, 16):
        stored.index.tune({"nprobe": cells})
        (matches,) = stored.index.search(np.eye(16)[3:4], 16)
        assert len(matches) == cells
        assert matches[0][:2] == ("D", 1.0)
    assert stored.origin.provenance == {"model": "a1b2"}


def test_a_new_index_replaces_the_old_one_when_complete(
    make, place, names, descriptors
):
    storage = make("exact", place)
    with pytest.raises(RuntimeError), storage.created() as draft:
        index = draft.start("exact", 16, Origin({"model": "c3d4"}))
        index.add(names[:5], descriptors[:5])
        raise RuntimeError
    assert len(storage.open().index) == 300
    make("HNSW", place, count=20)
    assert len(storage.open().index) == 20
    assert storage.open().index.factory == "HNSW"
    make("exact", place, count=30)
    assert len(storage.open().index) == 30
    assert len(storage._client.list_collections()) == 1


def test_two_indexes_share_a_file(make, place):
    make("exact", f"{place}#faces", count=20)
    make("exact", f"{place}#places", count=30)
    assert len(storage_at(f"{place}#faces").open().index) == 20
    assert len(storage_at(f"{place}#places").open().index) == 30
    with pytest.raises(UserError, match="no index 'agem_tf'.*agem_tf.index"):
        storage_at(place).open()


def test_a_faiss_factory_is_refused(place):
    with pytest.raises(UserError, match="one of exact, FLAT.*=HNSW32"):
        storage_at(place).check("HNSW32", 16, 300)


def test_a_collection_of_another_program_is_refused(place):
    storage = storage_at(place)
    storage._client.create_collection("theirs", dimension=4)
    storage._client.create_alias("theirs", "agem_tf")
    with pytest.raises(UserError, match="theirs was not created by agem_tf"):
        storage.open()


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("milvus:photos", "Give milvus:FILE.db.*Received: milvus:photos"),
        ("milvus:missing.db", "no index 'agem_tf' at milvus:missing.db"),
        ("milvus:missing/photos.db", "no index"),
    ],
)
def test_an_invalid_address_is_one_sentence(place, sentence):
    with pytest.raises(UserError, match=sentence):
        storage_at(place).open()


def test_a_file_that_is_not_a_database_is_one_sentence(tmp_path):
    (tmp_path / "photos.db").write_text("not a database")
    with pytest.raises(UserError, match="Milvus: .*failed"):
        storage_at(f"milvus:{tmp_path}/photos.db").open()


def test_a_server_needs_a_directory_for_the_model():
    storage = storage_at("milvus:http://host.invalid:19530")
    with pytest.raises(UserError, match="give --model=DIR"):
        storage.check("exact", 16, 300)


def test_a_model_for_an_index_directory_is_refused():
    with pytest.raises(UserError, match="--model is for an index in Milvus"):
        storage_at("directory", model="model")


@pytest.fixture
def server(tmp_path):
    """Address of a Milvus server, here Milvus Lite behind a port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        *(sys.executable, "-u", "-m", "milvus_lite", "server"),
        *("--data-dir", str(tmp_path / "served")),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert b"listening" in process.stdout.readline()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate()


def test_an_index_on_a_server_works_like_one_in_a_file(
    server, names, descriptors
):
    storage = storage_at(f"milvus:{server}", model="model")
    storage.check("HNSW", 16, 300)
    with storage.created() as draft:
        draft.start("HNSW", 16, Origin({"model": "a1b2"})).add(
            names, descriptors
        )
    with storage.changed() as stored:
        stored.index.remove(names[:3])
    stored = storage_at(f"milvus:{server}").open()
    assert len(stored.index) == 297
    (matches,) = stored.index.search(descriptors[5:6], 3)
    assert matches[0].name == names[5]


def test_a_failed_import_names_its_cause(monkeypatch, place):
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    milvus_index._import_pymilvus.cache_clear()
    with pytest.raises(UserError, match=".*pymilvus.*; run pip") as error:
        storage_at(place).exists  # noqa: B018
    assert isinstance(error.value.__cause__, ImportError)
    monkeypatch.undo()
    assert not storage_at(place).exists
