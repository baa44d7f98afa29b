"""HDF5 and .keras files declare no more than they hold, and no code."""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.weights import keras_files
from agem_tf.weights.keras_checks import check_hdf5


@keras.saving.register_keras_serializable(package="agem_tf_tests")
class TinyModel(keras.Model):
    """Dense layer of few weights."""

    def __init__(self, units=3, name="tiny"):
        inputs = keras.Input((2,))
        outputs = keras.layers.Dense(units, name="dense")(inputs)
        super().__init__(inputs, outputs, name=name)
        self.units = units

    def get_config(self):
        return {"units": self.units, "name": self.name}


def _hdf5(write):
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["plain"] = np.ones(3)
        write(file)
    return stream


def _huge(file):
    file.create_dataset("x", (1 << 40,), chunks=(1024,))


def _compressed(file):
    file.create_dataset("x", data=np.zeros(99), compression="gzip")


def _virtual(file):
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "x", (3,))
    file.create_virtual_dataset("x", layout)


def _external(file):
    file.create_dataset("x", (3,), "f8", external=[("/etc/passwd", 0, 24)])


def _soft(file):
    file["x"] = h5py.SoftLink("/plain")


def _external_link(file):
    file["x"] = h5py.ExternalLink("/tmp/other.h5", "/x")


def _circle(file):
    file.create_group("group")["x"] = file["/"]


def _twice(file):
    file["x"] = file["plain"]


def _objects(file):
    file.create_dataset("x", data=["a", "b"], dtype=h5py.string_dtype())


def _one_text_many_times(file):
    """A file can refer to one long text from each of many."""
    file.attrs.create("x", ["a" * 1000] * 2000, dtype=h5py.string_dtype())
    file["filling"] = np.zeros(1 << 17)


def _sequences(file):
    sequences = np.empty(2, object)
    sequences[:] = [np.ones(3, np.float32), np.ones(5, np.float32)]
    file.attrs.create("x", sequences, dtype=h5py.vlen_dtype("f4"))


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (_one_text_many_times, "attribute 'x' may hold 2000 texts"),
        (_sequences, "attribute 'x' is no text"),
        (_huge, "too short for all of its arrays"),
        (_compressed, "'x' is compressed"),
        (_virtual, "'x' is stored in other files"),
        (_external, "'x' is stored in other files"),
        (_soft, "'x' is a link"),
        (_external_link, "'x' is a link"),
        (_circle, "'x' is linked twice"),
        (_twice, "linked twice"),
        (_objects, "'x' holds object, not numbers"),
    ],
)
def test_hdf5_that_is_not_plain_is_refused(write, reason):
    stream = _hdf5(write)
    with pytest.raises(ValueError, match=reason):
        check_hdf5(stream, len(stream.getvalue()))


def test_plain_hdf5_passes():
    def write(file):
        group = file.create_group("a").create_group("b")
        group.attrs["backend"], group.attrs["epoch"] = "tensorflow", 3
        group.attrs["layer_names"] = [b"first", b"second"]
        group.attrs["texts"] = ["one", "three"]

    stream = _hdf5(write)
    check_hdf5(stream, len(stream.getvalue()))


def _rewritten(path, change=lambda config: config, compression=0, extra=None):
    """Writes a .keras file with a changed description."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = change(json.loads(members["config.json"]))
    members |= {"config.json": json.dumps(config).encode(), **(extra or {})}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "best.keras"
    TinyModel().save(path)
    return path


def test_a_model_comes_back(saved):
    loaded = keras_files.load_keras_model(saved, TinyModel)
    assert isinstance(loaded, TinyModel) and loaded.units == 3
    _rewritten(saved)
    keras_files.load_keras_model(saved, TinyModel)


def test_a_model_of_another_class_is_refused(tmp_path):
    path = tmp_path / "best.keras"
    layer = keras.layers.Lambda(lambda x: x, output_shape=(2,))
    keras.Sequential([keras.Input((2,)), layer]).save(path)
    with pytest.raises(UserError, match="'Sequential', not a network of ours"):
        keras_files.load_keras_model(path, TinyModel)


@pytest.mark.parametrize(
    ("units", "reason"),
    [
        ({"class_name": "Lambda", "config": {}}, "an object 'Lambda'"),
        ([{"class_name": "__lambda__"}], "an object '__lambda__'"),
        (1 << 30, "the number 1073741824"),
        (1 << 14, "its network has 49152 numbers, more than"),
        ({"weights": "/home/else.h5"}, "names other weights"),
    ],
)
def test_objects_among_the_arguments_are_refused(saved, units, reason):
    def change(config):
        config["config"]["units"] = units
        return config

    with pytest.raises(UserError, match=reason):
        keras_files.load_keras_model(_rewritten(saved, change), TinyModel)


def test_archives_that_keras_does_not_write_are_refused(saved):
    _rewritten(saved, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match="is compressed"):
        keras_files.load_keras_weights(TinyModel(), saved)
    _rewritten(saved, extra={"../x": b""})
    with pytest.raises(UserError, match="holds other files than"):
        keras_files.load_keras_model(saved, TinyModel)
