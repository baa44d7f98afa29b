"""PyTorch's state dictionaries, tensors by name, from either kind of file."""

import os
import pathlib
from typing import Any

import numpy as np

from agem_tf.errors import UserError
from agem_tf.weights import pytorch_files

SUFFIXES = (".pth", ".pt", ".pth.tar", ".safetensors")


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
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
    return of(pytorch_files.read(path), path)


def is_safetensors(path: str | os.PathLike) -> bool:
    return str(path).endswith(".safetensors")


def of(content: Any, path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Returns the state dictionary that a checkpoint is, or contains.

    A training checkpoint keeps its network's under "state_dict".

    Args:
        content: What `pytorch_checkpoint.read` returned.
        path: Of the file, for the message.

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
    except (safetensors.SafetensorError, OSError, TypeError) as error:
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
