"""Indexes in Milvus Lite and on a server, and invalid addresses."""

import json
import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.retrieval.indexes import Origin, milvus_client, storage_at
from agem_tf.retrieval.indexes.exact_index import ExactIndex
from agem_tf.retrieval.indexes.milvus_kinds import (
    check_search_parameters,
    parse_kind,
)
from agem_tf.retrieval.indexes.photo_states import PhotoState

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


@pytest.mark.parametrize(
    ("factory", "sentence"),
    [
        ("HNSW32", "one of exact, FLAT.*=HNSW32"),
        ("HNSW:nlist=3", "HNSW has no parameter 'nlist' here; it has M, ef"),
        ("HNSW:M=1", "M of HNSW must be a whole number from 2 to 2048.*M=1"),
        ("IVF_FLAT:nlist=many", "nlist of IVF_FLAT must be.*nlist=many"),
        ("FLAT:nlist=3", "FLAT has no parameter 'nlist' here; it has none"),
        ("DISKANN", "DISKANN needs a Milvus server; Milvus Lite has FLAT"),
        ("HNSW:vectors=float16", "float16 needs a Milvus server"),
        ("HNSW:vectors=float8", "vectors is one of float32, float16"),
        ("HNSW:M=8,partition=", "partition names a field of the metadata"),
    ],
)
def test_an_unknown_kind_or_parameter_is_refused(place, factory, sentence):
    with pytest.raises(UserError, match=sentence):
        storage_at(place).check(factory, 16, 300)


def test_a_server_has_further_kinds():
    storage = storage_at("milvus:http://host:19530", model="model")
    for factory in (
        "IVF_RABITQ:nlist=9",
        "IVF_RABITQ:refine_type=SQ8",
        "DISKANN:",
        "IVF_PQ:m=4,nbits=8",
        "HNSW_SQ:M=32,sq_type=SQ6,refine_type=FP16",
        "HNSW_PQ:m=4",
    ):
        storage.check(f"{factory},vectors=float16", 16, 9)
    for factory in ("IVF_RABITQ:refine_type=8", "HNSW_SQ:sq_type=SQ4"):
        with pytest.raises(UserError, match="_type of .* is one of .*SQ8"):
            storage.check(factory, 16, 9)
    with pytest.raises(UserError, match="m must divide the 16 dimensions"):
        storage.check("IVF_PQ:m=5", 16, 300)


def test_parameters_build_and_search_the_index(make, place, descriptors):
    storage = make("IVF_FLAT:nlist=4", place)
    index = storage.open().index
    assert index.manifest["parameters"] == {"nlist": 4}
    index.tune({"nprobe": 4})
    (found,) = index.search(descriptors[:1], 300)
    assert len(found) == 300
    for parameter in ({"nprobe": 0}, {"ef": 3}):
        with pytest.raises(UserError, match="nprobe"):
            index.tune(parameter)


def test_codes_are_compared_again_by_what_is_kept_beside_them():
    kind = parse_kind("IVF_RABITQ:nlist=9,refine_type=SQ8", 16, False)
    assert kind.parameters == {
        "nlist": 9,
        "refine": True,
        "refine_type": "SQ8",
    }
    found = check_search_parameters(kind.name, {"nprobe": 3, "refine_k": 4})
    assert found == {"nprobe": 3, "refine_k": 4}


def foreign(client, name):
    """Creates a collection of another program, with one row."""
    client.create_collection(name, dimension=4)
    client.insert(name, [{"id": 1, "vector": [1.0, 2.0, 3.0, 4.0]}])


def rows_of(client, name):
    client.load_collection(name)
    return client.query(name, filter="", output_fields=["count(*)"])[0]


def test_collections_of_other_programs_stay(make, place, names, descriptors):
    storage = storage_at(place)
    client = storage._client
    for name in ("agem_tf_a", "agem_tf_b", "agem_tf_photos", "theirs"):
        foreign(client, name)
    make("exact", place, count=20)
    make("HNSW", place, count=30)
    client.create_alias("theirs", "their_alias")
    for name, sentence in (("their_alias", "theirs"), ("theirs", "theirs")):
        other = storage_at(f"{place}#{name}")
        with pytest.raises(UserError, match=f"{sentence} was not created by"):
            other.open()
        with (
            pytest.raises(UserError, match="not created by agem_tf; choose"),
            other.created(),
        ):
            raise AssertionError("it is refused before anything is done")
    for name in ("agem_tf_a", "agem_tf_b", "agem_tf_photos", "theirs"):
        assert rows_of(client, name)["count(*)"] == 1


def test_names_of_indexes_do_not_meet(make, place):
    for name in ("x", "x_a", "x_a_a", "x_b"):
        make("exact", f"{place}#{name}", count=20)
    make("exact", f"{place}#x", count=30)
    make("exact", f"{place}#x", count=40)
    sizes = [
        len(storage_at(f"{place}#{name}").open().index)
        for name in ("x", "x_a", "x_a_a", "x_b")
    ]
    assert sizes == [40, 20, 20, 20]
    with pytest.raises(UserError, match="letters, digits and _.*#a-b"):
        storage_at(f"{place}#a-b")


def test_an_index_of_an_earlier_version_is_made_again(make, place):
    storage = make("exact", place, count=20)
    client, collection = storage._client, storage._current()
    manifest = storage._manifest(collection)
    del manifest["format"]
    client.alter_collection_properties(
        collection, properties={"agem_tf": json.dumps(manifest)}
    )
    with pytest.raises(UserError, match="another version.*--overwrite"):
        storage.open()
    make("exact", place, count=30)
    assert len(storage.open().index) == 30


def change(storage, names, descriptors):
    """Adds, removes, replaces, renames, and sets states and metadata."""
    with storage.changed() as stored:
        index = stored.index
        index.add(names[20:30], descriptors[20:30])
        index.remove(names[:5])
        index.exchange([names[6]], [names[6]], descriptors[100:101])
        index.rename({names[7]: "renamed.jpg"})
        stored.states.record(names[8], PhotoState(1, 2, "hash"))
        stored.states.record(names[20], PhotoState(3, 4, "hash"))
        stored.metadata.update(names[9], {"year": 2020})


def contents(storage):
    stored = storage.open()
    listed = stored.index.names()
    return (
        dict(zip(listed, stored.index.descriptors_of(listed), strict=True)),
        stored.states.read(),
        dict(stored.metadata.read()),
    )


def release(storage):
    """Lets other processes open a file of Milvus Lite, which one has."""
    from milvus_lite.server_manager import server_manager_instance

    storage._client.close()
    server_manager_instance.release_server(storage._uri)


def contents_in_file(place):
    """As `contents`, and releases the file."""
    storage = storage_at(place)
    found = contents(storage)
    release(storage)
    return found


def same(first, second):
    return (
        first[0].keys() == second[0].keys()
        and all((first[0][k] == second[0][k]).all() for k in first[0])
        and first[1:] == second[1:]
    )


@pytest.mark.parametrize("factory", ["exact", "exact:partition=year"])
def test_a_change_is_all_or_nothing(factory, make, place, names, descriptors):
    storage = make(factory, place, count=20)
    before = contents(storage)
    with pytest.raises(RuntimeError), storage.changed() as stored:
        stored.index.remove(names[:5])
        stored.index.add(names[20:30], descriptors[20:30])
        assert len(stored.index) == 25
        raise RuntimeError
    assert same(contents(storage), before)
    reader = storage_at(place).open().index
    change(storage, names, descriptors)
    rows, states, metadata = contents(storage)
    assert len(rows) == 25 and "renamed.jpg" in rows
    np.testing.assert_array_equal(rows["renamed.jpg"], descriptors[7])
    np.testing.assert_array_equal(rows[names[6]], descriptors[100])
    assert states == {
        names[8]: PhotoState(1, 2, "hash"),
        names[20]: PhotoState(3, 4, "hash"),
    }
    assert metadata == {names[9]: {"year": 2020}}
    # Whoever opened the index before sees what it held.
    assert set(reader.names()) == set(names[:20])


def test_metadata_stay_with_photos_that_change(make, place, names, descriptors):
    storage = make("exact", place, count=20)
    change(storage, names, descriptors)
    with storage.changed() as stored:
        stored.index.exchange([names[9]], [names[9]], descriptors[99:100])
    with storage.changed() as stored:
        stored.index.rename({names[9]: "other.jpg"})
    assert dict(storage.open().metadata.read()) == {"other.jpg": {"year": 2020}}


_KILLED_CHANGE = """
import os, signal, sys
import numpy as np
sys.path.insert(0, sys.argv[3])
import test_milvus_index as tests
from agem_tf.retrieval.indexes import storage_at

left = int(sys.argv[2])
storage = storage_at(sys.argv[1])
client = storage._client

def dying(function):
    def call(*arguments, **options):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return function(*arguments, **options)
    return call

for name in ("upsert", "delete", "flush", "alter_collection_properties"):
    setattr(client, name, dying(getattr(client, name)))
with np.load(sys.argv[4]) as saved:
    tests.change(storage, list(saved["names"]), saved["descriptors"])
"""


@pytest.mark.parametrize("factory", ["exact", "exact:partition=year"])
def test_a_killed_change_leaves_the_old_index(
    factory, make, place, names, descriptors, tmp_path
):
    np.savez(tmp_path / "photos.npz", names=names, descriptors=descriptors)
    wanted = make("exact", f"milvus:{tmp_path}/wanted.db", count=20)
    change(wanted, names, descriptors)
    release(make(factory, place, count=20))
    before, calls = contents_in_file(place), 0
    while True:
        arguments = [place, str(calls), os.path.dirname(__file__)]
        result = subprocess.run(
            [sys.executable, "-c", _KILLED_CHANGE, *arguments]
            + [str(tmp_path / "photos.npz")],
            capture_output=True,
            text=True,
        )
        if result.returncode == 0:
            break
        assert result.returncode == -signal.SIGKILL, result.stderr
        assert same(contents_in_file(place), before)
        calls += 3
    assert calls >= 6
    assert same(contents_in_file(place), contents(wanted))


def test_a_killed_creation_leaves_the_old_index(make, place):
    release(make("exact", place, count=20))
    code = (
        "import os, sys, signal, numpy as np\n"
        "from agem_tf.retrieval.indexes import Origin, storage_at\n"
        "with storage_at(sys.argv[1]).created() as draft:\n"
        "    index = draft.start('FLAT', 16, Origin({'model': 'a1b2'}))\n"
        "    index.add(list('ABC'), np.eye(16, dtype=np.float32)[:3])\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", code, place]
    result = subprocess.run(command, capture_output=True)
    assert result.returncode == -signal.SIGKILL, result.stderr
    storage = storage_at(place)
    assert len(storage.open().index) == 20
    assert len(storage._client.list_collections()) == 2
    make("exact", place, count=30)
    assert len(storage._client.list_collections()) == 1


def test_a_question_for_an_index_makes_no_file(place, tmp_path):
    assert not storage_at(place).exists
    assert storage_at(place).stamp() is None
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("writes", [False, True])
def test_nothing_is_left_of_a_refused_index(make, place, tmp_path, writes):
    storage = storage_at(place)
    for error in (UserError, KeyboardInterrupt):
        with pytest.raises(error), storage.created() as draft:
            (draft.model / "variables").mkdir(parents=True)
            if writes:
                index = draft.start("exact", 16, Origin({"model": "a1b2"}))
                index.add(list("ABC"), np.eye(16, dtype=np.float32)[:3])
            raise error
        assert os.listdir(tmp_path) == []
    assert len(make("exact", place, count=20).open().index) == 20


def test_nothing_is_left_of_an_index_on_a_full_disk(
    place, tmp_path, monkeypatch
):
    """Milvus writes before it drops a collection."""
    full = UserError("Milvus: [Errno 28] No space left on device.")
    storage = storage_at(place)

    def refuse(*arguments):
        raise full

    with pytest.raises(UserError, match="No space"), storage.created() as draft:
        draft.start("exact", 16, Origin({"model": "a1b2"}))
        monkeypatch.setattr(storage._client, "drop_collection", refuse)
        raise full
    assert os.listdir(tmp_path) == []


def test_a_refused_index_removes_nothing_of_others(make, place, tmp_path):
    model = tmp_path / "photos.db.model"
    model.mkdir()
    (model / "of_another").touch()
    make("exact", f"{place}#first", count=20)
    foreign(storage_at(place)._client, "theirs")
    with pytest.raises(UserError), storage_at(place).created():
        raise UserError
    assert len(storage_at(f"{place}#first").open().index) == 20
    assert rows_of(storage_at(place)._client, "theirs") == {"count(*)": 1}
    assert (model / "of_another").exists()


def test_what_was_stored_during_a_refused_creation_stays(place, tmp_path):
    storage = storage_at(place, str(tmp_path / "model"))
    with pytest.raises(UserError), storage.created() as draft:
        draft.model.mkdir()
        foreign(storage._client, "theirs")
        raise UserError
    assert rows_of(storage_at(place)._client, "theirs") == {"count(*)": 1}
    assert (tmp_path / "model").exists()


def test_one_process_changes_an_index_at_a_time(make, place, names):
    storage = make("exact", place, count=20)
    with storage.changed() as stored:
        with pytest.raises(UserError, match="Another process is writing"):
            with storage_at(place).changed():
                pass
        stored.index.remove(names[:1])
    assert len(storage.open().index) == 19


def test_credentials_are_not_in_the_address(monkeypatch):
    with pytest.raises(UserError, match="variable MILVUS_TOKEN=USER:PASSWORD"):
        storage_at("milvus:http://root:secret@host:19530")


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


def test_one_process_changes_an_index_on_a_server_at_a_time(
    server, make, names, monkeypatch
):
    monkeypatch.setenv("MILVUS_TOKEN", "root:secret")
    place = f"milvus:{server}"
    with storage_at(place, model="m").created() as draft:
        index = draft.start("FLAT", 16, Origin({"model": "a1b2"}))
        index.add(names[:20], np.eye(20, 16, dtype=np.float32))
    first, second = storage_at(place), storage_at(place)
    with first.changed() as stored:
        with pytest.raises(UserError, match="Another process is writing"):
            with second.changed():
                pass
        stored.index.remove(names[:1])
    # The claim of a process that has died holds nobody up.
    dead = {"host": socket.gethostname(), "process": 2**22 + 1, "time": 1e12}
    second._set_claim(second._current(), dead)
    with second.changed() as stored:
        stored.index.remove(names[1:2])
    assert len(first.open().index) == 18


def test_of_two_creators_on_a_server_the_second_repeats(server, names):
    place = f"milvus:{server}"

    def make_index(count):
        storage = storage_at(place, model="m")
        with storage.created() as draft:
            index = draft.start("FLAT", 16, Origin({"model": "a1b2"}))
            index.add(names[:count], np.eye(count, 16, dtype=np.float32))
            if count == 3:
                make_index(5)

    with pytest.raises(UserError, match="Another process has made the index"):
        make_index(3)
    assert len(storage_at(place).open().index) == 5
    assert len(storage_at(place)._client.list_collections()) == 1


def test_a_failed_import_names_its_cause(monkeypatch, place):
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    milvus_client.import_pymilvus.cache_clear()
    with pytest.raises(UserError, match=".*pymilvus.*; run pip") as error:
        storage_at(place).exists  # noqa: B018
    assert isinstance(error.value.__cause__, ImportError)
    monkeypatch.undo()
    assert not storage_at(place).exists
