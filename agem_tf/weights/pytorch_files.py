"""Reader of PyTorch checkpoints (.pth) and safetensors, without PyTorch.

Both layouts of checkpoints are read: the archive that torch.save writes since
version 1.6, and the stream of pickles before it, which many published weights
still have. A file is untrusted: nothing in it is executed, and no tensor is
larger than its bytes in the file.
"""

import io
import math
import os
import pathlib
import textwrap
import zipfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from agem_tf.errors import UserError
from agem_tf.files.locations import check_local
from agem_tf.files.pickles import DAMAGE, Symbol, interpret_pickle

SUFFIXES = (".pth", ".pt", ".pth.tar", ".safetensors")

_MAX_BYTES = 4 << 30
_MAX_DIMENSIONS = 32
_MAX_REASON = 200
_STREAM_MAGIC = 0x1950A86A20F9469CFC6C
_STREAM_PROTOCOL = 1001
_STREAM_COUNT_BYTES = 8  # Each storage repeats its length before its items.
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


class _Storage(NamedTuple):
    """Consecutive numbers in the file; `type_name` is PyTorch's."""

    key: str
    type_name: str
    size: int

    @property
    def item_type(self) -> np.dtype:
        return np.dtype(_ITEM_TYPES[self.type_name])

    @property
    def num_bytes(self) -> int:
        return self.size * self.item_type.itemsize

    def decode(self, data: bytes) -> np.ndarray:
        """Returns the numbers; bfloat16 becomes float32."""
        items = np.frombuffer(data, self.item_type, count=self.size)
        if self.type_name == "BFloat16Storage":
            return (items.astype("<u4") << 16).view("<f4")
        return items


def read_state_dictionary(
    path: str | os.PathLike,
) -> dict[str, np.ndarray]:
    """Returns the tensors of a file by name.

    bfloat16 becomes float32; other types stay as they are, and the axes keep
    PyTorch's order.

    Args:
        path: A file named .safetensors, or anything that torch.save wrote.

    Raises:
        UserError: the file is missing, damaged, or holds something else.
    """
    if is_safetensors(path):
        return _read_safetensors(path)
    return state_dictionary_of(read_pytorch_file(path), path)


def is_safetensors(path: str | os.PathLike) -> bool:
    """Returns whether a file is in the safetensors format, by its suffix."""
    return str(path).endswith(".safetensors")


def state_dictionary_of(
    content: Any, path: str | os.PathLike
) -> dict[str, np.ndarray]:
    """Returns the state dictionary that a checkpoint is, or contains.

    A training checkpoint keeps its network's under "state_dict".

    Args:
        content: What `read_pytorch_file` returned.
        path: Path of the file, for the message.

    Raises:
        UserError: it is anything else.
    """
    if isinstance(content, dict):
        content = content.get("state_dict", content)
    if not isinstance(content, dict) or not all(
        isinstance(value, np.ndarray) for value in content.values()
    ):
        raise UserError(
            f"{path} holds something other than tensors by name; give a file "
            "that torch.save wrote from a state_dict."
        )
    return {str(name): value for name, value in content.items()}


def _read_safetensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
    if not pathlib.Path(path).is_file():
        raise UserError(f"No file {path}; give an existing .safetensors file.")
    try:
        import safetensors.numpy
    except ImportError as error:
        raise UserError(
            f"Reading {path} needs safetensors; run: pip install safetensors"
        ) from error
    try:
        arrays = safetensors.numpy.load_file(path)
    # NumPy lacks some of the types, for example those of 8 bits.
    except (
        safetensors.SafetensorError,
        AttributeError,
        OSError,
        TypeError,
    ) as error:
        raise UserError(
            f"Cannot read {path} as safetensors ({error}); give a complete "
            "file of tensors of a common type."
        ) from error
    return {
        name: array.astype("float32")
        if array.dtype.name == "bfloat16"
        else array
        for name, array in arrays.items()
    }


def read_pytorch_file(path: str | os.PathLike) -> Any:
    """Returns what torch.load would, as data.

    bfloat16 becomes float32; other types stay as they are. The axes keep
    PyTorch's order.

    Returns:
        Dictionaries, lists, tuples, texts, numbers, and an array for each
        tensor. Objects of any other class stay a `files.pickles.Call`.

    Raises:
        UserError: the file is missing, cut short, too large or damaged.
    """
    check_local(path, "the checkpoint")
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"No checkpoint {path}; give an existing .pth file.")
    try:
        return _parse(_read_bytes(path))
    except (*DAMAGE, zipfile.BadZipFile) as error:
        # zipfile quotes names, of any length, from the file.
        reason = str(error).split("\n")[0] or type(error).__name__
        reason = textwrap.shorten(reason, _MAX_REASON, placeholder="...")
        raise UserError(
            f"Cannot read {path} as a PyTorch checkpoint ({reason}); "
            "give a complete file that torch.save wrote from a state_dict."
        ) from error


def _read_bytes(path: pathlib.Path) -> bytes:
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"it is larger than {_MAX_BYTES >> 30} GiB")
    return path.read_bytes()


def _parse(data: bytes) -> Any:
    if zipfile.is_zipfile(io.BytesIO(data)):
        return _parse_archive(data)
    return _parse_stream(data)


def _parse_archive(data: bytes) -> Any:
    archive = zipfile.ZipFile(io.BytesIO(data))
    members = archive.infolist()
    if any(member.compress_type for member in members):
        raise ValueError("its archive is compressed")
    if sum(member.file_size for member in members) > len(data):
        raise ValueError("its archive lists more bytes than it has")
    pickles = [name for name in archive.namelist() if name.endswith("data.pkl")]
    if not pickles:
        raise ValueError("its archive has no data.pkl")
    folder = pickles[0].removesuffix("data.pkl")
    byte_order = f"{folder}byteorder"
    if (
        byte_order in archive.namelist()
        and archive.read(byte_order) != b"little"
    ):
        raise ValueError("it is big-endian")

    def read_items(storage):
        return storage.decode(archive.read(f"{folder}data/{storage.key}"))

    stream = io.BytesIO(archive.read(pickles[0]))
    return interpret_pickle(stream, _Storages(read_items), _CONSTRUCTORS)


def _parse_stream(data: bytes) -> Any:
    stream = io.BytesIO(data)
    magic, protocol, system = (interpret_pickle(stream) for _ in range(3))
    if (magic, protocol) != (_STREAM_MAGIC, _STREAM_PROTOCOL):
        raise ValueError("it does not start like one")
    if system["little_endian"] is not True:
        raise ValueError("it is big-endian")
    # The numbers follow the pickle, which is interpreted once for their sizes
    # and again when they are read.
    start, declared = stream.tell(), _Storages(lambda storage: None)
    interpret_pickle(stream, declared)
    arrays = _read_storages(stream, declared.storages)
    stream.seek(start)
    return interpret_pickle(
        stream, _Storages(lambda storage: arrays[storage.key]), _CONSTRUCTORS
    )


def _read_storages(
    stream: io.BytesIO, storages: dict[str, _Storage]
) -> dict[str, np.ndarray]:
    arrays = {}
    for key in interpret_pickle(stream):
        stream.seek(_STREAM_COUNT_BYTES, io.SEEK_CUR)
        arrays[key] = storages[key].decode(stream.read(storages[key].num_bytes))
    return arrays


class _Storages:
    """Reads each storage of a file once, by the references to it.

    Attributes:
        storages: Storages that were referred to, by key.
    """

    def __init__(self, read_items: Callable[[_Storage], Any]):
        self.storages: dict[str, _Storage] = {}
        self._read_items = read_items
        self._items: dict[str, Any] = {}

    def __call__(self, identifier: Any) -> Any:
        kind, storage_type, key, _, size = identifier[:5]
        if kind != "storage" or storage_type.module != "torch":
            raise ValueError("it holds an unknown kind of storage")
        if any(identifier[5:]):
            raise ValueError("it holds views of storages, as PyTorch 0.1 wrote")
        if not isinstance(key, str) or not _is_count(size):
            raise ValueError("a storage has no proper name or size")
        storage = _Storage(key, storage_type.name, size)
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError("a storage is of two types or sizes")
        if key not in self._items:
            self._items[key] = self._read_items(storage)
        return self._items[key]


def _rebuild_tensor(
    items: np.ndarray, offset: Any, shape: Any, strides: Any, *_: Any
) -> np.ndarray:
    """Returns a view of a storage; offset and strides count items."""
    if max(len(shape), len(strides)) > _MAX_DIMENSIONS:
        raise ValueError(f"a tensor has {len(shape)} dimensions")
    if not all(map(_is_count, (offset, *shape, *strides))):
        raise ValueError("a tensor has a negative offset, shape or stride")
    size = math.prod(shape)
    steps = zip(shape, strides, strict=True)
    last = offset + sum((length - 1) * step for length, step in steps)
    if size > items.size or (size and last >= items.size):
        raise ValueError("a tensor reaches beyond its storage")
    return np.lib.stride_tricks.as_strided(
        items[offset:],
        shape,
        [stride * items.itemsize for stride in strides],
        writeable=False,
    )


def _rebuild_parameter(tensor: np.ndarray, *_: Any) -> np.ndarray:
    return tensor


_CONSTRUCTORS = {
    Symbol("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    Symbol("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    Symbol("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
}


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0
