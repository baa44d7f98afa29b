"""Every engine writes what one process writes."""

import errno
import os
import shutil
import signal
import sys

import numpy as np
import pytest

from agem_tf import extract, index, prepare
from agem_tf.datasets.photo_folder import PhotoFolder
from agem_tf.distribution import engines
from agem_tf.errors import UserError
from agem_tf.retrieval.indexes import storage_at


@pytest.fixture(scope="module")
def ray():
    """Ray on this machine, started once."""
    ray = pytest.importorskip("ray")
    ray.init("local", num_cpus=2, num_gpus=1, log_to_driver=False)
    yield ray
    ray.shutdown()


@pytest.fixture(params=["beam", "ray"])
def cluster(request):
    """Flags of the two engines, each on this machine."""
    if request.param == "ray":
        request.getfixturevalue("ray")
        return {"ray": "local"}
    pytest.importorskip("apache_beam")
    return {"beam": "--runner=DirectRunner"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory, place_photos):
    """132 photos of 44 places, more than are extracted together."""
    root = tmp_path_factory.mktemp("many") / "photos"
    for place, number, photo in place_photos(44, 3):
        path = root / f"place{place}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo.save(path)
    return root


def prepared(photos, directory, **engine):
    return prepare.main(
        prepare.PrepareOptions(
            source=str(photos),
            data_dir=str(directory),
            option=("validation=0.0", "test=1.0"),
            **engine,
        )
    )


@pytest.fixture(scope="module")
def data(photos, tmp_path_factory):
    """These photos as one split."""
    return prepared(photos, tmp_path_factory.mktemp("prepared") / "data")


def test_a_dataset(cluster, photo_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(PhotoFolder, "items_per_file", 4)
    bad = photo_folder / "place3" / "bad.jpg"
    bad.write_bytes(b"not a photo")
    with pytest.raises(UserError) as raised:
        prepared(photo_folder, tmp_path / "many", **cluster)
    assert str(raised.value).startswith(f"{bad} is not a readable photo")
    bad.unlink()
    many = prepared(photo_folder, tmp_path / "many", **cluster)
    one = prepared(photo_folder, tmp_path / "one")
    assert len(many.manifest["record_files"]) == 5
    assert many.manifest["files"] == one.manifest["files"]


def test_descriptors(cluster, data, run_directory, tmp_path):
    def extracted(name, **engine):
        options = extract.ExtractOptions(
            workdir=str(run_directory),
            data_dir=str(data.directory),
            strategy="one",
            output=str(tmp_path / name),
            **engine,
        )
        return extract.main(options)

    one = extracted("one")
    many = extracted("many", num_shards=2, **cluster)
    assert many.names == one.names
    np.testing.assert_array_equal(many.descriptors, one.descriptors)
    assert many.provenance == one.provenance


def test_an_index(cluster, photos, run_directory, tmp_path):
    folder = shutil.copytree(photos, tmp_path / "photos")
    (folder / "bad.jpg").write_bytes(b"not a photo")

    def indexed(name, **engine):
        options = index.IndexOptions(
            photos=str(folder),
            index=str(tmp_path / name),
            workdir=str(run_directory),
            max_bad=10,
            **engine,
        )
        change = index.main(options)
        assert (change.added, len(change.skipped)) == (132, 1)
        return storage_at(str(tmp_path / name)).open().index

    one = indexed("one")
    many = indexed("many", num_shards=2, **cluster)
    assert many.names() == one.names()
    np.testing.assert_array_equal(many.descriptors, one.descriptors)
    assert not (tmp_path / "many.shards").exists()


def test_the_part_of_a_killed_worker_is_written_again(ray, tmp_path):
    def task(path):
        attempts = f"{path}.attempts"
        with open(attempts, "a") as file:
            file.write("x")
        if os.path.getsize(attempts) == 1 and path.endswith("1"):
            os.kill(os.getpid(), signal.SIGKILL)
        with open(path, "w") as file:
            file.write("written")

    paths = [str(tmp_path / str(number)) for number in range(3)]
    assert sorted(engines.on_ray("local")(task, paths)) == paths
    assert {open(path).read() for path in paths} == {"written"}
    assert os.path.getsize(f"{paths[1]}.attempts") == 2


@pytest.mark.parametrize("on_gpus", [False, True])
def test_a_task_takes_a_gpu_where_it_runs_a_network(ray, tmp_path, on_gpus):
    def task(path):
        resources = ray.get_runtime_context().get_assigned_resources()
        with open(path, "w") as file:
            file.write(str(resources.get("GPU", 0)))

    path = str(tmp_path / "part")
    assert list(engines.on_ray("local", on_gpus)(task, [path])) == [path]
    assert float(open(path).read()) == on_gpus


def full_disk(path):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


def defective(path):
    raise KeyError(path)


def test_an_error_of_a_worker_is_one_sentence(tmp_path):
    path = str(tmp_path / "part")
    assert engines.attempt(str, path) is None
    assert engines.attempt(full_disk, path).startswith(f"{path} can't be")
    engines.write_or_note(full_disk, path)
    with pytest.raises(UserError, match="No space left"):
        engines.raise_noted([path])
    with pytest.raises(KeyError):
        engines.attempt(defective, path)


def test_quotes_in_the_flags_of_beam_have_an_end():
    with pytest.raises(UserError, match="flags of Beam are malformed"):
        engines.on_beam("--project='mine")


@pytest.mark.parametrize(
    ("module", "start"),
    [("apache_beam", engines.on_beam), ("ray", engines.on_ray)],
)
def test_engines_are_optional(monkeypatch, module, start):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=r"pip install '\.\["):
        start("any")


@pytest.mark.parametrize(
    "given", [{"processes": 0}, {"processes": 2, "ray": "local"}]
)
def test_one_engine_is_chosen(given):
    with pytest.raises(UserError, match="Give one of --processes"):
        engines.create_engine(**given)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"beam": "", "ray": "local", "num_shards": 2}, "Give one of --shard"),
        ({"shard": "1/2", "ray": "local", "num_shards": 2}, "Give one of"),
        ({"ray": "local"}, "--num_shards belongs to"),
        ({"num_shards": 2}, "--num_shards belongs to"),
    ],
)
@pytest.mark.parametrize(
    "options",
    [
        lambda **given: index.IndexOptions(index="i", photos="p", **given),
        lambda **given: extract.ExtractOptions(
            workdir="w", output="o", **given
        ),
    ],
)
def test_shards_need_one_engine_and_a_number(options, given, sentence):
    with pytest.raises(UserError, match=sentence):
        options(**given)
