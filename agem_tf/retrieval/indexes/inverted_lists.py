"""Inverted lists of a FAISS index in a file, which is made without memory.

FAISS adds to lists in memory. So photos are added in parts, each of which is
written to a file and mapped from there, and the parts are merged into one file
of lists, in which a search reads only what it visits.

Reference: https://github.com/facebookresearch/faiss/wiki/Indexes-that-do-not-fit-in-RAM
"""

import functools
import pathlib
import shutil
import tempfile
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import numpy as np

from agem_tf import native_output
from agem_tf.errors import UserError
from agem_tf.files.locations import large_temporary_directory

FILE = "vectors.lists"
# Bytes of lists in memory; smaller indexes are made and kept there.
PART = 2**28
_ID_BYTES = 8


class InvertedListsFile:
    """Lists of an index in a temporary file, until they are moved."""

    def __init__(self) -> None:
        # Removed with this object; open maps of its files stay.
        self._folder = tempfile.TemporaryDirectory(
            dir=large_temporary_directory()
        )
        self.path = pathlib.Path(self._folder.name) / FILE

    def fill(
        self, index: Any, blocks: Iterable[tuple[np.ndarray, np.ndarray]]
    ) -> None:
        """Adds vectors to a trained index, whose lists move into the file.

        Args:
            index: a FAISS index with inverted lists, possibly of another file.
            blocks: vectors and their numbers.

        Raises:
            RuntimeError: FAISS can't; a disk is full, for example.
        """
        faiss = import_faiss()
        inverted = faiss.extract_index_ivf(index)
        parts, count = [], index.ntotal
        if count:
            parts.append(_detached_lists(inverted))
        _set_lists(inverted, _empty_lists(inverted))
        size = 0
        for vectors, numbers in blocks:
            index.add_with_ids(vectors, numbers)
            size += len(vectors) * list_bytes(inverted)
            count += len(vectors)
            if size >= PART:
                parts.append(self._written(index, inverted, len(parts)))
                size = 0
        if size:
            parts.append(self._written(index, inverted, len(parts)))
        lists = faiss.OnDiskInvertedLists(
            inverted.nlist, inverted.code_size, str(self.path)
        )
        pointers = faiss.InvertedListsPtrVector()
        for part in parts:
            pointers.push_back(part)
        # It prints the size of the file.
        with native_output.captured(1):
            lists.merge_from_multiple(pointers.data(), pointers.size())
        _set_lists(inverted, lists)
        index.ntotal = inverted.ntotal = count
        del parts, pointers
        for part in self.path.parent.glob("part-*"):
            part.unlink()

    def move(self, target: pathlib.Path) -> None:
        """Moves the file; the index that has it open may go on."""
        shutil.move(self.path, target)
        self._folder.cleanup()

    def _written(self, index: Any, inverted: Any, number: int) -> Any:
        """Empties the lists of an index into a file and returns its map."""
        faiss = import_faiss()
        path = str(self.path.with_name(f"part-{number}"))
        faiss.write_index(index, path)
        index.reset()
        _set_lists(inverted, _empty_lists(inverted))
        mapped = faiss.read_index(path, faiss.IO_FLAG_MMAP)
        return _detached_lists(faiss.extract_index_ivf(mapped))


def map_lists(index: Any, path: pathlib.Path) -> None:
    """Maps the lists of an index that was read without them.

    FAISS can look for the file beside the index by itself, but then prints
    that it did.

    Args:
        index: a FAISS index.
        path: file that `InvertedListsFile` has made.

    Raises:
        RuntimeError: FAISS can't map the file.
    """
    faiss = import_faiss()
    lists = faiss.extract_index_ivf(index).invlists
    lists = faiss.downcast_InvertedLists(lists)
    lists.filename, lists.read_only = str(path), True
    lists.do_mmap()


def list_bytes(inverted: Any) -> int:
    """Returns the bytes of a vector in the lists of an index."""
    return inverted.code_size + _ID_BYTES


def _empty_lists(inverted: Any) -> Any:
    faiss = import_faiss()
    return faiss.ArrayInvertedLists(inverted.nlist, inverted.code_size)


def _set_lists(inverted: Any, lists: Any) -> None:
    inverted.replace_invlists(lists, True)
    # The index owns them now, not the object of Python.
    lists.this.disown()


def _detached_lists(inverted: Any) -> Any:
    """Returns the lists of an index, which does not own them any more."""
    lists = import_faiss().downcast_InvertedLists(inverted.invlists)
    inverted.own_invlists = False
    lists.this.own(True)
    return lists


@functools.cache
def import_faiss() -> ModuleType:
    try:
        import faiss
    except ImportError as error:
        raise UserError(
            f"FAISS can't be imported ({error}); run pip install faiss-cpu. "
            "An index by --factory=exact does not need it."
        ) from error
    return faiss
