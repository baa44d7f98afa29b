"""Checks files against their checksums once, not at each use.

What was found intact is noted in a hidden file beside them, with the size, the
times and the inode of each file. A copy, a restored backup or an altered file
differs in one of them and is read again. A note that can't be written, as on a
read-only disk, costs the time of the check at each use and nothing else.
"""

import contextlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agem_tf.files.manifest import check_file

_NOTES = ".verified.json"
# A file altered within the resolution of its times would pass unnoticed.
_SETTLED_NANOSECONDS = 2_000_000_000


def check_files_once(
    directory: Path, listed: Mapping[str, dict[str, Any]]
) -> None:
    """Checks the files of a manifest, those read before by their metadata.

    Args:
        directory: directory of the manifest.
        listed: the manifest's "files".

    Raises:
        UserError: a file is missing, truncated or altered.
    """
    noted = _read_notes(directory)
    intact: dict[str, list[int]] = {}
    for file, facts in listed.items():
        path = directory / file
        check_file(path, facts, verify=False)
        before = _identity(path)
        known = [*before, facts["sha256"]]
        if noted.get(file) != known:
            check_file(path, facts, verify=True)
        if time.time_ns() - max(before[1:3]) > _SETTLED_NANOSECONDS:
            intact[file] = known
    if intact != noted:
        _write_notes(directory, intact)


def _identity(path: Path) -> list[int]:
    status = path.stat()
    return [
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_ino,
    ]


def _read_notes(directory: Path) -> dict[str, Any]:
    try:
        notes = json.loads((directory / _NOTES).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return notes if isinstance(notes, dict) else {}


def _write_notes(directory: Path, notes: dict[str, Any]) -> None:
    temporary = directory / f"{_NOTES}.{os.getpid()}"
    with contextlib.suppress(OSError):
        try:
            temporary.write_text(json.dumps(notes))
            os.replace(temporary, directory / _NOTES)
        finally:
            temporary.unlink(missing_ok=True)
