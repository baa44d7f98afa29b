"""State dictionaries are found in a checkpoint, and in safetensors."""

import sys

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.weights.pytorch_files import read_state_dictionary


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {"a": rng.normal(size=(3, 2)).astype("float32"), "b": np.ones(4)}


def _assert_equal(read, arrays):
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)


@pytest.mark.parametrize("wrapped", [False, True])
def test_reads_a_state_or_a_checkpoint_with_one(
    tmp_path, torch_files, arrays, wrapped
):
    state = torch_files.state(arrays)
    content = {"epoch": 5, "state_dict": state} if wrapped else state
    torch_files.write_archive(tmp_path / "x.pth", content)
    _assert_equal(read_state_dictionary(tmp_path / "x.pth"), arrays)


@pytest.mark.parametrize("content", [[1.0], {"epoch": 5}, {"state_dict": 5}])
def test_anything_else_is_refused(tmp_path, torch_files, content):
    torch_files.write_archive(tmp_path / "x.pth", content)
    with pytest.raises(UserError, match="x.pth holds something other than"):
        read_state_dictionary(tmp_path / "x.pth")


@pytest.fixture
def safetensors():
    return pytest.importorskip("safetensors.numpy")


def test_reads_safetensors(tmp_path, safetensors, arrays):
    safetensors.save_file(arrays, tmp_path / "x.safetensors")
    _assert_equal(read_state_dictionary(tmp_path / "x.safetensors"), arrays)


def test_damaged_safetensors_are_refused(tmp_path, safetensors, arrays):
    path = tmp_path / "x.safetensors"
    safetensors.save_file(arrays, path)
    data = path.read_bytes()
    for length in (0, 4, 20, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(UserError, match="x.safetensors") as caught:
            read_state_dictionary(path)
        assert "\n" not in str(caught.value)


def test_without_safetensors_the_remedy_is_named(tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    path.touch()
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(UserError, match="run: pip install safetensors"):
        read_state_dictionary(path)


@pytest.mark.parametrize("name", ["absent.pth", "absent.safetensors"])
def test_missing_file_is_named(tmp_path, name):
    with pytest.raises(UserError, match=f"No .*{name}"):
        read_state_dictionary(tmp_path / name)
