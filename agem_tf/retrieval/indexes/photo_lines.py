"""Lines about the photos of an index, in files that are only added to.

A change writes a new file, which is joined with earlier ones that are not
larger. So there are few files, and a large one is hardly ever written again.
"""

import abc
import pathlib
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence

from agem_tf.errors import UserError
from agem_tf.files import arrays

SEGMENTS = "segments"


class PhotoLines(abc.ABC):
    """Base of values by photo name, one per line; later lines prevail.

    Args:
        directory: directory of the index.
        files: files of the lines, relative to it, the oldest first.
        count: number of lines in the files; by default they are counted.
    """

    file_name: str

    def __init__(
        self,
        directory: pathlib.Path,
        files: Sequence[str],
        count: int | None = None,
    ):
        self._directory, self.files = directory, list(files)
        self._count = count
        # Whether the files hold what may not stay there.
        self._is_stale = False
        self._forget_new()

    def save(
        self,
        directory: pathlib.Path,
        names: Callable[[], Collection[str]],
        most: int,
    ) -> list[str]:
        """Writes what is new into the directory of the index.

        Args:
            directory: directory of the index.
            names: returns the names of its photos.
            most: number of lines of its present and removed photos; with more
                of them all are written again, and only of the present ones.

        Returns:
            All files.
        """
        content = _encoded(self._new_lines())
        count = content.count(b"\n") + self.count
        while content and self.files:
            last = directory / self.files[-1]
            if last.stat().st_size > len(content):
                break
            content = last.read_bytes() + content
            self.files.pop()
        if self._is_stale or count > most:
            content, self.files = _encoded(self._lines_of(set(names()))), []
            count = content.count(b"\n")
        if content:
            file = f"{new_folder(directory)}/{self.file_name}"
            (directory / file).write_bytes(content)
            self.files.append(file)
        self._forget_new()
        self._is_stale, self._count = False, count
        return self.files

    @property
    def count(self) -> int:
        """Number of lines in the files."""
        if self._count is None:
            paths = [self._directory / file for file in self.files]
            self._count = sum(p.read_bytes().count(b"\n") for p in paths)
        return self._count

    @abc.abstractmethod
    def _new_lines(self) -> list[str]:
        """Returns the lines that are not in a file yet."""

    @abc.abstractmethod
    def _lines_of(self, names: set[str]) -> list[str]:
        """Returns one line per photo of these, saved or not."""

    @abc.abstractmethod
    def _forget_new(self) -> None:
        """Starts with no new lines; those there were are in a file."""

    def _read(self) -> Iterator[tuple[pathlib.Path, str]]:
        for file in self.files:
            path = self._directory / file
            for line in arrays.read_names(path):
                yield path, line


def damaged(path: pathlib.Path) -> UserError:
    """Returns the error for a file with a malformed line."""
    return UserError(f"{path} is damaged; index the photos again.")


def new_folder(directory: pathlib.Path) -> str:
    """Creates a folder in an index whose name no reader has ever seen.

    Returns:
        Its path relative to the directory of the index.
    """
    folder = f"{SEGMENTS}/{uuid.uuid4().hex}"
    (directory / folder).mkdir(parents=True)
    return folder


def _encoded(lines: Sequence[str]) -> bytes:
    text = "".join(f"{line}\n" for line in lines)
    return text.encode("utf-8", "surrogateescape")
