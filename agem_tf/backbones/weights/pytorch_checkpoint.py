"""Reads the tensors of a PyTorch checkpoint (.pth) without PyTorch.

Both layouts are read: the archive that torch.save writes since version 1.6 and
the stream of pickles before it, which many published weights still have. The
file is data from a stranger: nothing in it is executed, and no tensor is larger
than its bytes in the file.
"""

import io
import math
import os
import pathlib
import zipfile
from typing import Any, NamedTuple

import numpy as np

from agem_tf.backbones.weights import tensor_pickle
from agem_tf.errors import UserError

_MAX_BYTES = 4 << 30
_STREAM_MAGIC = 0x1950A86A20F9469CFC6C
_STREAM_PROTOCOL = 1001
_STREAM_COUNT_BYTES = 8  # Each storage repeats its length before its items.
_REBUILD_TENSOR = tensor_pickle.Symbol("torch._utils", "_rebuild_tensor_v2")
_ITEM_TYPES = {
    "BFloat16Storage": "<u2",
    "BoolStorage": "?",
    "ByteStorage": "u1",
    "CharStorage": "i1",
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "IntStorage": "<i4",
    "LongStorage": "<i8",
    "ShortStorage": "<i2",
}
# What damaged bytes make zipfile, numpy and the code below raise.
_READING_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
)


class _Storage(NamedTuple):
    """A run of numbers in the file; `type_name` is PyTorch's."""

    key: str
    type_name: str
    size: int

    @property
    def item_type(self) -> np.dtype:
        return np.dtype(_ITEM_TYPES[self.type_name])


class _Tensor(NamedTuple):
    """A view of a storage; offset and strides count items."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


_Contents = tuple[dict[str, _Tensor], dict[_Storage, np.ndarray]]


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Returns the tensors of a state dictionary by name.

    bfloat16 becomes float32; other types stay as they are. The axes keep
    PyTorch's order.

    Raises:
        UserError: the file is missing, cut short, too large, or anything but
            a dictionary of plain tensors.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"No checkpoint {path}; give an existing .pth file.")
    try:
        return _read_checkpoint(_read_bytes(path))
    except _READING_ERRORS as error:
        reason = str(error).split("\n")[0] or type(error).__name__
        raise UserError(
            f"Cannot read {path} as a PyTorch checkpoint ({reason}); "
            "give a complete file that torch.save wrote from a state_dict."
        ) from error


def _read_bytes(path: pathlib.Path) -> bytes:
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"it is larger than {_MAX_BYTES >> 30} GiB")
    return path.read_bytes()


def _read_checkpoint(data: bytes) -> dict[str, np.ndarray]:
    if zipfile.is_zipfile(io.BytesIO(data)):
        tensors, arrays = _read_archive(data)
    else:
        tensors, arrays = _read_stream(data)
    return {
        name: _view(tensor, arrays[tensor.storage])
        for name, tensor in tensors.items()
    }


def _read_archive(data: bytes) -> _Contents:
    archive = zipfile.ZipFile(io.BytesIO(data))
    members = archive.infolist()
    if any(member.compress_type for member in members):
        raise ValueError("its archive is compressed")
    if sum(member.file_size for member in members) > len(data):
        raise ValueError("its archive lists more bytes than it has")
    pickles = [name for name in archive.namelist() if name.endswith("data.pkl")]
    folder = pickles[0].removesuffix("data.pkl")
    byte_order = f"{folder}byteorder"
    if (
        byte_order in archive.namelist()
        and archive.read(byte_order) != b"little"
    ):
        raise ValueError("it is big-endian")
    tensors = _parse(tensor_pickle.load(io.BytesIO(archive.read(pickles[0]))))
    storages = {tensor.storage for tensor in tensors.values()}
    return tensors, {
        storage: _items(archive.read(f"{folder}data/{storage.key}"), storage)
        for storage in storages
    }


def _read_stream(data: bytes) -> _Contents:
    stream = io.BytesIO(data)
    magic, protocol, system = (tensor_pickle.load(stream) for _ in range(3))
    if (magic, protocol) != (_STREAM_MAGIC, _STREAM_PROTOCOL):
        raise ValueError("it does not start like one")
    if system["little_endian"] is not True:
        raise ValueError("it is big-endian")
    tensors = _parse(tensor_pickle.load(stream))
    storages = {
        tensor.storage.key: tensor.storage for tensor in tensors.values()
    }
    arrays = {}
    for key in tensor_pickle.load(stream):
        storage = storages[key]
        stream.seek(_STREAM_COUNT_BYTES, io.SEEK_CUR)
        num_bytes = storage.size * storage.item_type.itemsize
        arrays[storage] = _items(stream.read(num_bytes), storage)
    return tensors, arrays


def _parse(state: Any) -> dict[str, _Tensor]:
    if not isinstance(state, dict):
        raise ValueError("it does not hold a dictionary")
    return {str(name): _parse_tensor(value) for name, value in state.items()}


def _parse_tensor(value: Any) -> _Tensor:
    if getattr(value, "function", None) != _REBUILD_TENSOR:
        raise ValueError("it holds something other than tensors by name")
    reference, offset, shape, strides = value.arguments[:4]
    kind, storage_type, key, _, size = reference.identifier[:5]
    if kind != "storage" or storage_type.module != "torch":
        raise ValueError("it holds an unknown kind of storage")
    if any(reference.identifier[5:]):
        raise ValueError("it holds views of storages, as PyTorch 0.1 wrote")
    return _Tensor(
        _Storage(key, storage_type.name, size), offset, shape, strides
    )


def _items(data: bytes, storage: _Storage) -> np.ndarray:
    items = np.frombuffer(data, storage.item_type, count=storage.size)
    if storage.type_name == "BFloat16Storage":
        return (items.astype("<u4") << 16).view("<f4")
    return items


def _view(tensor: _Tensor, items: np.ndarray) -> np.ndarray:
    counts = (tensor.offset, *tensor.shape, *tensor.strides)
    if not all(type(count) is int and count >= 0 for count in counts):
        raise ValueError("a tensor has a negative offset, shape or stride")
    size = math.prod(tensor.shape)
    steps = zip(tensor.shape, tensor.strides, strict=True)
    last = tensor.offset + sum((length - 1) * step for length, step in steps)
    if size > items.size or (size and last >= items.size):
        raise ValueError("a tensor reaches beyond its storage")
    return np.lib.stride_tricks.as_strided(
        items[tensor.offset :],
        tensor.shape,
        [stride * items.itemsize for stride in tensor.strides],
        writeable=False,
    )
