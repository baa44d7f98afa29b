"""What is known of the files of indexed photos, to notice that they changed.

Size and time are compared first, because they are read without opening a photo;
the hash of the content decides whether a photo that looks new was only touched,
moved or renamed.
"""

import errno
import hashlib
import os
import pathlib
import uuid
from typing import NamedTuple

from agem_tf.errors import UserError
from agem_tf.files import arrays

SEGMENTS = "segments"
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


class PhotoStates:
    """States of the photos of an index, in files that are only added to.

    Args:
        directory: directory of the index.
        files: files of the states, relative to it; later ones prevail.
    """

    def __init__(self, directory: pathlib.Path, files: list[str]):
        self._directory, self.files = directory, list(files)
        self._new: dict[str, PhotoState] = {}

    def read(self) -> dict[str, PhotoState]:
        """Returns the state of each photo name, also of removed photos.

        Raises:
            UserError: a file is damaged.
        """
        states: dict[str, PhotoState] = {}
        for file in self.files:
            try:
                for line in arrays.read_names(self._directory / file):
                    size, modified, digest, name = line.split("\t", 3)
                    states[name] = PhotoState(int(size), int(modified), digest)
            except ValueError as error:
                raise UserError(
                    f"{self._directory / file} is damaged; index the photos "
                    "again."
                ) from error
        return states | self._new

    def record(self, name: str, state: PhotoState) -> None:
        """Sets the state of a photo."""
        self._new[name] = state

    def save(self, directory: pathlib.Path) -> list[str]:
        """Writes the new states into the directory of the index.

        A file is joined with earlier ones that are not larger, so that there
        are few of them and most are left as they are.

        Returns:
            All files of states.
        """
        if not self._new:
            return self.files
        content = "".join(
            f"{state.size}\t{state.modified}\t{state.digest}\t{name}\n"
            for name, state in self._new.items()
        ).encode("utf-8", "surrogateescape")
        while self.files:
            last = directory / self.files[-1]
            if last.stat().st_size > len(content):
                break
            content = last.read_bytes() + content
            self.files.pop()
        file = f"{new_folder(directory)}/states.tsv"
        (directory / file).write_bytes(content)
        self.files.append(file)
        self._new = {}
        return self.files


def new_folder(directory: pathlib.Path) -> str:
    """Creates a folder in an index whose name no reader has ever seen.

    Returns:
        Its path relative to the directory of the index.
    """
    folder = f"{SEGMENTS}/{uuid.uuid4().hex}"
    (directory / folder).mkdir(parents=True)
    return folder


def _hash() -> "hashlib._Hash":
    return hashlib.blake2b(digest_size=16)
