"""Directories that change while others read them.

A change writes new files and then replaces the manifest, so that a reader sees
the old state or the new one without a lock, and a killed change leaves the old
one. Files never change; those that no manifest lists are removed by the next
change. A reader that loses a file this way reads the new manifest.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from agem_tf.errors import UserError
from agem_tf.files.atomic_writing import flush
from agem_tf.files.locations import read_file
from agem_tf.files.locks import BusyError, exclusive
from agem_tf.files.manifest import MANIFEST, file_facts, sealed

_T = TypeVar("_T")
_LOCK = ".lock"
# How often a reader that lost a file to a writer starts again.
_ATTEMPTS = 20


def read_changing(directory: Path, read: Callable[[], _T]) -> _T:
    """Reads a directory, again if it has changed meanwhile.

    Args:
        directory: the directory.
        read: reads it from its manifest on.
    """
    for _ in range(_ATTEMPTS):
        manifest = _manifest_bytes(directory)
        try:
            return read()
        except (UserError, OSError):
            if manifest == _manifest_bytes(directory):
                raise
    return read()


@contextlib.contextmanager
def exclusive_change(directory: Path) -> Iterator[None]:
    """Locks a directory against other writers.

    Raises:
        UserError: another process is changing it, or has just replaced it.
    """
    before = directory.stat()
    busy = BusyError(
        f"Another process is changing {directory}; try again when it has "
        "finished."
    )
    with exclusive(directory / _LOCK, busy):
        is_current = directory.exists() and os.path.samestat(
            before, directory.stat()
        )
        if not is_current:
            raise busy
        yield


def replace_manifest(
    directory: Path,
    folder: str,
    old: Mapping[str, Any],
    files: set[str],
    **fields: Any,
) -> None:
    """Puts a manifest that lists new files in the place of the old one.

    Args:
        directory: the directory, locked by `exclusive_change`.
        folder: one of its folders, from which the next change removes the new
            manifest if a killed one leaves it there.
        old: entries of the old manifest.
        files: names of all files from now on.
        **fields: entries of the manifest that change.
    """
    known = old["files"]
    for file in files - known.keys():
        flush(directory / file)
    facts = {
        file: known[file] if file in known else file_facts(directory / file)
        for file in sorted(files)
    }
    written = directory / folder / MANIFEST
    written.parent.mkdir(exist_ok=True)
    manifest = sealed({**old, **fields, "files": facts})
    written.write_text(json.dumps(manifest, indent=2) + "\n")
    flush(written)
    os.replace(written, directory / MANIFEST)
    flush(directory)


def _manifest_bytes(directory: Path) -> bytes:
    try:
        return read_file(directory / MANIFEST)
    except OSError:
        return b""
