"""What is known of the files of indexed photos, to notice that they changed.

Size and time are compared first, because they are read without opening a photo;
the hash of the content decides whether a photo that looks new was only touched,
moved or renamed.
"""

import errno
import hashlib
import os
from typing import NamedTuple

from agem_tf.retrieval.indexes.photo_lines import PhotoLines, damaged

# A hash that equals no other, of a file that changed while it was read.
_UNKNOWN = ""
_BROKEN_LINK = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class PhotoState(NamedTuple):
    """State of a photo file.

    Attributes:
        size: bytes.
        modified: time of the last change in nanoseconds.
        digest: BLAKE2 hash of the content; empty if it is not known.
    """

    size: int
    modified: int
    digest: str = _UNKNOWN

    @classmethod
    def of(cls, path: str | os.PathLike) -> "PhotoState":
        """Returns the state of a file, without its hash.

        All zeros if there is none, as behind a broken link.

        Raises:
            OSError: the file system refuses to say, for example for a folder
                without permissions, whose photos are not gone.
        """
        try:
            status = os.stat(path)
        except OSError as error:
            if error.errno not in _BROKEN_LINK:
                raise
            return cls(0, 0)
        return cls(status.st_size, status.st_mtime_ns)

    def hashed(self, path: str | os.PathLike) -> "PhotoState":
        """Returns the state with the hash, empty if the file has changed."""
        # A pipe or a device has no size, and reading it may never end.
        if not self.size:
            return self
        try:
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, _hash).hexdigest()
            unchanged = self.is_like(PhotoState.of(path))
        except OSError:
            return self
        return self._replace(digest=digest if unchanged else _UNKNOWN)

    def is_like(self, other: "PhotoState") -> bool:
        """Whether size and time are equal, so that no content is compared."""
        return self[:2] == other[:2]


class PhotoStates(PhotoLines):
    """States of the photos of an index; see `PhotoLines`."""

    file_name = "states.tsv"

    def read(self) -> dict[str, PhotoState]:
        """Returns the state of each photo name, also of some removed photos.

        Raises:
            UserError: a file is damaged.
        """
        states: dict[str, PhotoState] = {}
        for path, line in self._read():
            try:
                size, modified, digest, name = line.split("\t", 3)
                states[name] = PhotoState(int(size), int(modified), digest)
            except ValueError as error:
                raise damaged(path) from error
        return states | self._new

    def record(self, name: str, state: PhotoState) -> None:
        """Sets the state of a photo."""
        self._new[name] = state

    def _new_lines(self) -> list[str]:
        return [_line(*item) for item in self._new.items()]

    def _lines_of(self, names: set[str]) -> list[str]:
        items = self.read().items()
        return [_line(name, state) for name, state in items if name in names]

    def _forget_new(self) -> None:
        self._new = {}


def _line(name: str, state: PhotoState) -> str:
    return f"{state.size}\t{state.modified}\t{state.digest}\t{name}"


def _hash() -> "hashlib._Hash":
    return hashlib.blake2b(digest_size=16)
