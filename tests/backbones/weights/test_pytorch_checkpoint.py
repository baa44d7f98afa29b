"""PyTorch files are read as data, and hostile ones are refused."""

import collections
import io
import os
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest

from agem_tf.backbones.weights import pytorch_checkpoint
from agem_tf.errors import UserError

_MAGIC = 0x1950A86A20F9469CFC6C


class _Storage:
    """What the pickler below writes as a reference, as torch.save does."""

    def __init__(self, key, items, kind="FloatStorage"):
        self.key, self.items, self.kind = key, np.asarray(items), kind


class _Tensor:
    def __init__(self, storage, offset, shape, strides):
        self.arguments = (storage, offset, shape, strides, False)


class _Pickler(pickle.Pickler):
    def persistent_id(self, item):
        if not isinstance(item, _Storage):
            return None
        kind = getattr(sys.modules["torch"], item.kind)
        return ("storage", kind, item.key, "cpu", len(item.items), *self.views)

    def reducer_override(self, item):
        if not isinstance(item, _Tensor):
            return NotImplemented
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        hooks = collections.OrderedDict()
        return rebuild, (*item.arguments, hooks)


@pytest.fixture(autouse=True)
def torch_names(monkeypatch):
    """The names of PyTorch that its checkpoints refer to."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for kind in ("FloatStorage", "LongStorage", "BFloat16Storage"):
        setattr(torch, kind, type(kind, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2():
        """Only its name is written."""

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)


def _pickle(item, views=()):
    stream = io.BytesIO()
    pickler = _Pickler(stream, protocol=2)
    pickler.views = views
    pickler.dump(item)
    return stream.getvalue()


def _write_archive(path, state, storages):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", _pickle(state))
        archive.writestr("archive/byteorder", "little")
        for storage in storages:
            name = f"archive/data/{storage.key}"
            archive.writestr(name, storage.items.tobytes())


def _write_stream(path, state, storages):
    system = {"little_endian": True}
    data = b"".join(pickle.dumps(x, 2) for x in (_MAGIC, 1001, system))
    data += _pickle(state, views=(None,))
    data += pickle.dumps([storage.key for storage in storages], 2)
    for storage in storages:
        data += np.int64(len(storage.items)).tobytes()
        data += storage.items.tobytes()
    path.write_bytes(data)


_WRITERS = pytest.mark.parametrize("write", [_write_archive, _write_stream])


@_WRITERS
def test_reads_tensors_with_offset_and_strides(tmp_path, write):
    floats = _Storage("7", np.arange(12, dtype="float32"))
    integers = _Storage("8", np.array([5, 6], "int64"), "LongStorage")
    state = collections.OrderedDict(
        whole=_Tensor(floats, 0, (3, 4), (4, 1)),
        transposed=_Tensor(floats, 2, (2, 3), (1, 4)),
        count=_Tensor(integers, 1, (), ()),
    )
    state._metadata = {"version": 1}
    path = tmp_path / "state.pth"
    write(path, state, [floats, integers])

    tensors = pytorch_checkpoint.read(path)

    whole = np.arange(12, dtype="float32").reshape(3, 4)
    np.testing.assert_array_equal(tensors["whole"], whole)
    np.testing.assert_array_equal(tensors["transposed"], whole[:, 2:].T)
    assert tensors["count"] == 6 and tensors["count"].dtype == "int64"


@_WRITERS
def test_widens_bfloat16(tmp_path, write):
    items = np.array([0x3F80, 0xC020], "uint16")
    storage = _Storage("0", items, "BFloat16Storage")
    path = tmp_path / "state.pth"
    write(path, {"x": _Tensor(storage, 0, (2,), (1,))}, [storage])
    np.testing.assert_array_equal(
        pytorch_checkpoint.read(path)["x"], np.float32([1.0, -2.5])
    )


@_WRITERS
def test_every_truncation_is_refused(tmp_path, write):
    storage = _Storage("0", np.arange(6, dtype="float32"))
    path = tmp_path / "state.pth"
    write(path, {"x": _Tensor(storage, 0, (2, 3), (3, 1))}, [storage])
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(UserError, match="state.pth"):
            pytorch_checkpoint.read(path)


@_WRITERS
@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (7,), (1,)),
        (5, (2,), (1,)),
        (0, (2, 3), (4, 1)),
        (-1, (2,), (1,)),
        (3, (2,), (-1,)),
        (0, (10**12,), (0,)),
        (0, (2,), (1, 1)),
        (0, (2.0,), (1,)),
    ],
)
def test_tensor_outside_of_its_storage_is_refused(
    tmp_path, write, offset, shape, strides
):
    storage = _Storage("0", np.arange(6, dtype="float32"))
    path = tmp_path / "state.pth"
    write(path, {"x": _Tensor(storage, offset, shape, strides)}, [storage])
    with pytest.raises(UserError, match="state.pth"):
        pytorch_checkpoint.read(path)


class _Hostile:
    def __reduce__(self):
        return os.mkdir, (os.environ["AGEM_TEST_FOLDER"],)


@_WRITERS
def test_nothing_in_the_file_is_called(tmp_path, monkeypatch, write):
    folder = tmp_path / "made"
    monkeypatch.setenv("AGEM_TEST_FOLDER", str(folder))
    path = tmp_path / "hostile.pth"
    write(path, {"x": _Hostile()}, [])
    with pytest.raises(UserError, match="other than tensors"):
        pytorch_checkpoint.read(path)
    assert not folder.exists()


def test_huge_memo_index_reserves_nothing(tmp_path):
    path = tmp_path / "memo.pth"
    with zipfile.ZipFile(path, "w") as archive:
        pickled = b"\x80\x02}r\xff\xff\xff\xff."
        archive.writestr("archive/data.pkl", pickled)
    assert pytorch_checkpoint.read(path) == {}


def test_compressed_archive_is_refused(tmp_path):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(1_000_000))
    with pytest.raises(UserError, match="compressed"):
        pytorch_checkpoint.read(path)


@pytest.mark.parametrize("data", [b"", b"not a checkpoint", b"\x80\x02K\x01."])
def test_other_files_are_refused_in_one_line(tmp_path, data):
    path = tmp_path / "other.pth"
    path.write_bytes(data)
    with pytest.raises(UserError, match="torch.save") as caught:
        pytorch_checkpoint.read(path)
    assert "\n" not in str(caught.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="No checkpoint .*absent.pth"):
        pytorch_checkpoint.read(tmp_path / "absent.pth")
