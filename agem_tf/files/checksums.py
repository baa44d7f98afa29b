"""Checksums of files; a large file that has not changed is read once a month.

What was verified is remembered by empty files in the user's cache directory.
The name of each is a digest of the file's device, inode, size, times of
modification and change, and of its checksum: any write gives another name. So
nothing in the cache can be wrong, only missing, and it can be removed at any
time. That old bytes decay on the disk is found when the memory expires, or by
`afresh`.
"""

import hashlib
import os
import time
from pathlib import Path

from agem_tf.files.locations import Location, is_remote

# Smaller files are read each time, in about 10 ms.
_LEAST_BYTES = 16 << 20
# Writes within one tick of the clock of a file system leave the times equal.
_LEAST_AGE = 2.0
_SECONDS_REMEMBERED = 30 * 24 * 3600
_BLOCK = 1 << 20


def sha256_of(path: Location) -> str:
    """Returns the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        if not is_remote(path):
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256()
        while block := file.read(_BLOCK):
            digest.update(block)
        return digest.hexdigest()


def has_checksum(path: Location, sha256: str, afresh: bool = False) -> bool:
    """Returns whether a file has a checksum; a remote one is read each time.

    Args:
        path: Path of the file.
        sha256: The checksum.
        afresh: Whether to read the file even if it is known to have it.
    """
    if is_remote(path):
        return sha256_of(path) == sha256
    before = path.stat()
    if before.st_size < _LEAST_BYTES:
        return sha256_of(path) == sha256
    mark = _mark(before, sha256)
    if not afresh and _is_recent(mark):
        return True
    if sha256_of(path) != sha256:
        return False
    after = path.stat()
    age = time.time() - max(after.st_mtime, after.st_ctime)
    if _mark(after, sha256) == mark and age > _LEAST_AGE:
        _remember(mark)
    return True


def _mark(facts: os.stat_result, sha256: str) -> Path:
    identity = (
        facts.st_dev,
        facts.st_ino,
        facts.st_size,
        facts.st_mtime_ns,
        facts.st_ctime_ns,
        sha256,
    )
    name = hashlib.sha256(repr(identity).encode()).hexdigest()
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache, "agem_tf", "verified", name)


def _is_recent(mark: Path) -> bool:
    try:
        return time.time() - mark.stat().st_mtime < _SECONDS_REMEMBERED
    except OSError:
        return False


def _remember(mark: Path) -> None:
    """Creates a mark and removes expired ones; without a cache, nothing."""
    try:
        mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for other in mark.parent.iterdir():
            if not _is_recent(other):
                other.unlink(missing_ok=True)
        mark.touch()
    except OSError:
        pass
