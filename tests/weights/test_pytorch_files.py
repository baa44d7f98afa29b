"""PyTorch files are read as data, and hostile ones are refused."""

import argparse
import collections
import os
import zipfile

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.files.pickles import Call, Symbol
from agem_tf.weights.pytorch_files import read_pytorch_file


@pytest.fixture(params=["archive", "stream"])
def write(request, torch_files):
    """Both layouts of torch.save."""
    return getattr(torch_files, f"write_{request.param}")


@pytest.fixture
def floats(torch_files):
    """Six numbers."""
    return torch_files.Storage(np.arange(6, dtype="float32"))


def test_reads_tensors_with_offset_and_strides(tmp_path, write, torch_files):
    floats = torch_files.Storage(np.arange(12, dtype="float32"))
    integers = torch_files.Storage(np.array([5, 6], "int64"), "LongStorage")
    state = collections.OrderedDict(
        whole=torch_files.Tensor(floats, 0, (3, 4), (4, 1)),
        transposed=torch_files.Tensor(floats, 2, (2, 3), (1, 4)),
        count=torch_files.Tensor(integers, 1, (), ()),
    )
    state._metadata = {"version": 1}
    write(tmp_path / "state.pth", state)

    tensors = read_pytorch_file(tmp_path / "state.pth")

    whole = np.arange(12, dtype="float32").reshape(3, 4)
    np.testing.assert_array_equal(tensors["whole"], whole)
    np.testing.assert_array_equal(tensors["transposed"], whole[:, 2:].T)
    assert tensors["count"] == 6 and tensors["count"].dtype == "int64"


def test_reads_what_stands_beside_the_tensors(tmp_path, write, torch_files):
    tensor = torch_files.tensor([[1.0, 2.0]])
    content = {
        "epoch": 3,
        "meta": {"mean": [0.485, 0.5], "regional": False, 7: ("a", None)},
        "state_dict": torch_files.state({"x": [4.0]}),
        "optimizer": [{"exp_avg": tensor}, tensor],
        "options": argparse.Namespace(rate=0.1),
    }
    write(tmp_path / "checkpoint.pth", content)
    read = read_pytorch_file(tmp_path / "checkpoint.pth")
    assert read["epoch"] == 3 and read["meta"] == content["meta"]
    np.testing.assert_array_equal(read["state_dict"]["x"], [4.0])
    np.testing.assert_array_equal(read["optimizer"][0]["exp_avg"], [[1, 2]])
    assert isinstance(read["options"], Call)
    assert read["options"].state == {"rate": 0.1}


def test_reads_tensors_of_early_versions(tmp_path, write, torch_files, floats):
    early = torch_files.Tensor(floats, 1, (2,), (1,), rebuild="_tensor")
    parameter = torch_files.Parameter(torch_files.tensor([3.0]))
    write(tmp_path / "early.pth", {"x": early, "y": parameter})
    tensors = read_pytorch_file(tmp_path / "early.pth")
    np.testing.assert_array_equal(tensors["x"], [1.0, 2.0])
    np.testing.assert_array_equal(tensors["y"], [3.0])


def test_reads_what_python_2_wrote(tmp_path):
    """There texts are bytes, and an OrderedDict gets its items at once."""
    _write_pickle(
        tmp_path / "old.pth",
        b"\x80\x02ccollections\nOrderedDict\n"
        b"](](U\x05firstK\x01e](U\x06secondK\x02ee\x85R.",
    )
    read = read_pytorch_file(tmp_path / "old.pth")
    assert read == {"first": 1, "second": 2}


def test_widens_bfloat16(tmp_path, write, torch_files):
    items = np.array([0x3F80, 0xC020], "uint16")
    storage = torch_files.Storage(items, "BFloat16Storage")
    state = {"x": torch_files.Tensor(storage, 0, (2,), (1,))}
    write(tmp_path / "state.pth", state)
    np.testing.assert_array_equal(
        read_pytorch_file(tmp_path / "state.pth")["x"],
        np.float32([1.0, -2.5]),
    )


def test_every_truncation_is_refused(tmp_path, write, torch_files, floats):
    path = tmp_path / "state.pth"
    write(path, {"x": torch_files.Tensor(floats, 0, (2, 3), (3, 1))})
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(UserError, match="state.pth"):
            read_pytorch_file(path)


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
        (0, (10**600,) * 40, (0,) * 40),
    ],
)
def test_tensor_outside_of_its_storage_is_refused(
    tmp_path, write, torch_files, floats, offset, shape, strides
):
    path = tmp_path / "state.pth"
    write(path, {"x": torch_files.Tensor(floats, offset, shape, strides)})
    with pytest.raises(UserError, match="state.pth"):
        read_pytorch_file(path)


@pytest.mark.parametrize("size", [7, -1, 10**12, 2.0])
def test_storage_of_more_than_its_bytes_is_refused(
    tmp_path, write, torch_files, floats, size
):
    floats.size = size
    path = tmp_path / "state.pth"
    write(path, {"x": torch_files.Tensor(floats, 0, (2,), (1,))})
    with pytest.raises(UserError, match="state.pth"):
        read_pytorch_file(path)


class _Hostile:
    def __reduce__(self):
        return os.mkdir, (os.environ["AGEM_TEST_FOLDER"],)


def test_nothing_in_the_file_is_called(tmp_path, monkeypatch, write):
    folder = tmp_path / "made"
    monkeypatch.setenv("AGEM_TEST_FOLDER", str(folder))
    write(tmp_path / "hostile.pth", {"x": _Hostile()})
    call = read_pytorch_file(tmp_path / "hostile.pth")["x"]
    assert call.function == Symbol("posix", "mkdir")
    assert not folder.exists()


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02}r\xff\xff\xff\xff.",  # A memo of gigabytes.
        b"\x80\x02]" + b"q\x00(" + b"h\x00" * 1000 + b"e.",  # In itself.
    ],
)
def test_tricks_of_the_memo_reserve_nothing(tmp_path, pickled):
    _write_pickle(tmp_path / "memo.pth", pickled)
    assert len(read_pytorch_file(tmp_path / "memo.pth")) in (0, 1000)


@pytest.mark.parametrize(
    "pickled",
    [
        b"cos\nsystem\n(S'true'\ntR.",  # Opcodes that torch.save never uses.
        b"\x80\x02(ios\nsystem\n.",
        b"\x80\x02}" + b"\x85" * 100_000 + b"K\x01s.",  # A key of tuples.
        b"\x80\x02K\x01K\x02\x93.",
        b"\x80\x02ccollections\nOrderedDict\nK\x05\x85R.",
        b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00"
        b"rot\x86R.",
    ],
)
def test_other_pickles_are_refused(tmp_path, pickled):
    _write_pickle(tmp_path / "hostile.pth", pickled)
    with pytest.raises(UserError, match="hostile.pth") as caught:
        read_pytorch_file(tmp_path / "hostile.pth")
    assert "\n" not in str(caught.value)


def test_compressed_archive_is_refused(tmp_path):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(1_000_000))
    with pytest.raises(UserError, match="compressed"):
        read_pytorch_file(path)


def test_a_damaged_file_does_not_fill_the_message(tmp_path, torch_files):
    """zipfile quotes all of a name that differs in its two places."""
    path = tmp_path / "net.pth"
    torch_files.write_archive(path, {"x": torch_files.tensor(np.ones(500))})
    data = bytearray(path.read_bytes())
    name = data.index(b"archive/data/0")
    data[name - 4 : name - 2] = b"\xff\x03"  # Its length.
    path.write_bytes(data)
    with pytest.raises(UserError, match="File name in directory") as caught:
        read_pytorch_file(path)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_another_archive_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.pth", "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(UserError, match="no data.pkl"):
        read_pytorch_file(tmp_path / "other.pth")


@pytest.mark.parametrize("data", [b"", b"not a checkpoint", b"\x80\x02K\x01."])
def test_other_files_are_refused_in_one_line(tmp_path, data):
    path = tmp_path / "other.pth"
    path.write_bytes(data)
    with pytest.raises(UserError, match="torch.save") as caught:
        read_pytorch_file(path)
    assert "\n" not in str(caught.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="No checkpoint .*absent.pth"):
        read_pytorch_file(tmp_path / "absent.pth")


def _write_pickle(path, pickled):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
