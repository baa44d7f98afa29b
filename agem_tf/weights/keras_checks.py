"""Checks of HDF5 and .keras files before Keras loads them.

Files are not trusted. HDF5 can declare a dataset of any size without storing
it, read other files through links, and unpack filters; a .keras file is a zip
archive with a description of Python objects to create. Keras uses none of this
for weights, so that nothing is lost by refusing it.
"""

import io
import json
import math
import os
import pathlib
import zipfile
from typing import Any, BinaryIO

import h5py

WEIGHTS, CONFIG = "model.weights.h5", "config.json"
_MEMBERS = {WEIGHTS, CONFIG, "metadata.json"}
_MAX_CONFIG_BYTES = 1 << 24
# Kinds of NumPy types; V is bfloat16.
_ITEM_KINDS = "biufSV"
# Texts of variable length are stored once, and may be referred to many times:
# the bound of an attribute with several, each as long as the file.
_MAX_TEXT_BYTES = 1 << 30
_ATTRIBUTE_KINDS = (
    h5py.h5t.INTEGER,
    h5py.h5t.FLOAT,
    h5py.h5t.ENUM,
    h5py.h5t.STRING,
)
# Arguments of a network count layers and channels; of 2048 channels, a layer of
# so many units takes 128 MiB before its weights are found to be missing.
_MAX_NUMBER = 1 << 14


def check_hdf5(file: str | os.PathLike | BinaryIO, num_bytes: int) -> None:
    """Checks that an HDF5 file holds all of its arrays, plainly stored.

    Args:
        file: Path, or a file that is open for reading.
        num_bytes: Size of the file; all arrays together have no more.

    Raises:
        ValueError: It has links, filters, arrays that are stored elsewhere or
            not at all. h5py raises further types for damaged files.
    """
    with h5py.File(file, "r") as root:
        groups, seen, left = [root], {_address(root)}, num_bytes
        left -= _attribute_bytes(root, num_bytes)
        while groups:
            group = groups.pop()
            for name in group:
                link = group.get(name, getlink=True)
                if not isinstance(link, h5py.HardLink):
                    raise ValueError(f"{name[:80]!r} is a link to elsewhere")
                item = group[name]
                if _address(item) in seen:
                    raise ValueError(f"{name[:80]!r} is linked twice")
                seen.add(_address(item))
                left -= _attribute_bytes(item, num_bytes)
                if isinstance(item, h5py.Group):
                    groups.append(item)
                else:
                    left -= _array_bytes(item, name)
                if left < 0:
                    raise ValueError(
                        f"it is too short for all of its arrays, at {name!r}"
                    )


def check_keras_archive(path: str | os.PathLike) -> dict[str, Any]:
    """Checks a .keras file, and returns the description of its model.

    Raises:
        ValueError: It is compressed, has other members than Keras writes, or
            its weights are refused by `check_hdf5`. zipfile, json and h5py
            raise further types for damaged files.
    """
    num_bytes = pathlib.Path(path).stat().st_size
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        names = [member.filename for member in members]
        if len(set(names)) < len(names) or set(names) - _MEMBERS:
            raise ValueError(
                "it holds other files than config.json, metadata.json and "
                "model.weights.h5"
            )
        if any(member.compress_type for member in members):
            raise ValueError("its archive is compressed")
        if sum(member.file_size for member in members) > num_bytes:
            raise ValueError("its archive lists more bytes than it has")
        if archive.getinfo(CONFIG).file_size > _MAX_CONFIG_BYTES:
            raise ValueError(f"its {CONFIG} is too large")
        config = json.loads(archive.read(CONFIG))
        weights = archive.read(WEIGHTS)
    check_hdf5(io.BytesIO(weights), len(weights))
    if not isinstance(config, dict):
        raise ValueError(f"its {CONFIG} describes no model")
    return config


def check_plain_model(config: dict[str, Any], registered_name: str) -> None:
    """Checks that a description creates one registered model and no objects.

    Args:
        config: What `check_keras_archive` returned.
        registered_name: Name of the model's class in Keras' registry.

    Raises:
        ValueError: It is of another class, names a file of weights, or an
            argument is an object, for example a Lambda layer, or a number of
            unreasonable size.
    """
    if config.get("registered_name") != registered_name:
        found = config.get("registered_name") or config.get("class_name")
        raise ValueError(f"it holds {str(found)[:80]!r}, not a network of ours")
    arguments = [config.get("config")]
    while arguments:
        argument = arguments.pop()
        if isinstance(argument, dict):
            if "class_name" in argument or "__lambda__" in argument:
                found = str(argument.get("class_name", "__lambda__"))[:80]
                raise ValueError(f"its network has an object {found!r}")
            # The weights are beside it; no other file is to be opened.
            if argument.get("weights") is not None:
                raise ValueError("its network names other weights")
            arguments.extend(argument.values())
        elif isinstance(argument, list):
            arguments.extend(argument)
        elif isinstance(argument, int) and abs(argument) > _MAX_NUMBER:
            raise ValueError(f"its network has the number {argument}")


def _address(item: h5py.HLObject) -> int:
    return h5py.h5o.get_info(item.id).addr


def _array_bytes(item: Any, name: str) -> int:
    """Returns the size of a dataset in memory, if it is plainly stored."""
    if not isinstance(item, h5py.Dataset):
        raise ValueError(f"{name[:80]!r} is neither an array nor a group")
    if item.is_virtual or item.external:
        raise ValueError(f"{name[:80]!r} is stored in other files")
    if item.id.get_create_plist().get_nfilters():
        raise ValueError(f"{name[:80]!r} is compressed")
    if item.dtype.kind not in _ITEM_KINDS:
        raise ValueError(f"{name[:80]!r} holds {item.dtype}, not numbers")
    return math.prod(item.shape) * item.dtype.itemsize


def _attribute_bytes(item: h5py.HLObject, num_bytes: int) -> int:
    """Returns the size of all attributes, without texts of variable length.

    Raises:
        ValueError: An attribute is neither numbers nor texts, or would have
            more bytes of text than `_MAX_TEXT_BYTES` and the file.
    """
    total = 0
    for name in item.attrs:
        attribute = h5py.h5a.open(item.id, os.fsencode(name))
        count = attribute.get_space().get_simple_extent_npoints()
        kind = attribute.get_type()
        if kind.get_class() not in _ATTRIBUTE_KINDS:
            raise ValueError(f"its attribute {name[:80]!r} is no text")
        is_variable = (
            kind.get_class() == h5py.h5t.STRING and kind.is_variable_str()
        )
        if is_variable and count > 1 and count * num_bytes > _MAX_TEXT_BYTES:
            raise ValueError(
                f"its attribute {name[:80]!r} may hold {count} texts of any "
                "length"
            )
        total += count * kind.get_size()
    return total
