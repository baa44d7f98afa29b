"""Portions of a large job, which any engine runs and one process joins.

Portion i of n is a part of the list of photos. A worker describes it into a
directory of its own, and does only what is missing when it is started again.
The process that makes the index takes over what it finds there, and describes
the rest itself, so that a lost worker costs time and nothing else.
"""

import contextlib
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from etils import epath

from agem_tf.errors import UserError
from agem_tf.files.locations import Location, is_remote
from agem_tf.files.locks import BusyError, exclusive
from agem_tf.files.manifest import is_finished

_LOCK = ".lock"
_NAME = "{:05}-of-{:05}"
_PATTERN = re.compile(r"(\d{5})-of-(\d{5})")


class Portion(NamedTuple):
    """Portion of a job.

    Attributes:
        number: from 1 to `count`.
        count: number of portions.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a text such as "3/16".

        Raises:
            UserError: it is anything else.
        """
        found = re.fullmatch(r"(\d{1,5})/(\d{1,5})", text)
        portion = cls(int(found[1]), int(found[2])) if found else None
        if portion is None or not 1 <= portion.number <= portion.count:
            raise UserError(
                f"--shard is a number of how many, from 1/16 to 16/16 for "
                f"example. Received: --shard={text}"
            )
        return portion

    @classmethod
    def placed(cls, path: str | os.PathLike) -> Self:
        """Returns the portion of a directory that `place` gave."""
        found = _PATTERN.fullmatch(os.path.basename(path))
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def borders(self, total: int, unit: int) -> tuple[int, int]:
        """Returns first and end of this portion of a list.

        Args:
            total: length of the list.
            unit: the first is a multiple of it.
        """
        units = -(-total // unit)
        edges = np.array([self.number - 1, self.number]) * units // self.count
        first, end = np.minimum(edges * unit, total).tolist()
        return first, end

    def place(self, directory: Location) -> Location:
        """Returns the directory of this portion in that of all."""
        return directory / _NAME.format(*self)

    @contextlib.contextmanager
    def workspace(self, directory: pathlib.Path) -> Iterator[pathlib.Path]:
        """Yields the directory of this portion, for one process at a time.

        Args:
            directory: directory of all portions.

        Raises:
            UserError: another process has it.
        """
        own = self.place(directory)
        own.mkdir(parents=True, exist_ok=True)
        with exclusive(own / _LOCK, _busy(own)):
            yield own


def _busy(portion: pathlib.Path) -> BusyError:
    return BusyError(f"Another process is working on {portion}; wait for it.")


def portions_in(directory: Location) -> list[Location]:
    """Returns the directories of the portions of a job, local or remote."""
    found = directory.iterdir() if directory.is_dir() else ()
    return sorted(path for path in found if _PATTERN.fullmatch(path.name))


def check_complete(portions: Sequence[Location]) -> None:
    """Checks that the directories are all portions of one job, and finished.

    Raises:
        UserError: one is missing or unfinished.
    """
    count = Portion.placed(portions[0]).count
    expected = [
        Portion(number, count).place(portions[0].parent)
        for number in range(1, count + 1)
    ]
    finished = [path for path in portions if is_finished(path)]
    if finished != expected:
        raise UserError(
            f"{portions[0].parent} has {len(finished)} finished shards, and "
            f"{count} are needed; extract the others."
        )


class Span(NamedTuple):
    """Consecutive photos of a job.

    Attributes:
        first, end: their places among all photos.
        portion: set that holds their results, None if they are to be extracted.
        offset: place of the first photo in that set.
    """

    first: int
    end: int
    portion: Any = None
    offset: int = 0


def load_portions(
    directories: Sequence[Location],
    load: Callable[[Location], Any],
    names: Sequence[str],
    provenance: Mapping[str, Any],
) -> dict[int, Any]:
    """Returns the finished sets of consecutive photos, by their first place.

    Args:
        directories: directories of the portions.
        load: reads one of them as a set with `names` and `is_of`.
        names: names of all photos.
        provenance: how all photos are extracted.

    Raises:
        UserError: a set is of other photos or settings.
    """
    place = {name: number for number, name in enumerate(names)}
    found = {}
    for directory in directories:
        if not is_finished(directory):
            continue
        portion = load(directory)
        first = place.get(portion.names[0], 0)
        part = names[first:][: len(portion.names)]
        if not portion.is_of(part, provenance):
            raise UserError(
                f"{directory} was extracted from other photos or with other "
                "settings; give those, or remove it."
            )
        found[first] = portion
    return found


def spans(done: int, total: int, portions: Mapping[int, Any]) -> Iterator[Span]:
    """Yields the photos that are missing, in portions and between them.

    Args:
        done: number of photos that are written.
        total: number of all photos.
        portions: result of `load_portions`.
    """
    for first, portion in sorted(portions.items()):
        if done < first:
            yield Span(done, first)
            done = first
        end = first + len(portion.names)
        if done < end:
            yield Span(done, end, portion, done - first)
            done = end
    if done < total:
        yield Span(done, total)


def remove_portions(portions: Sequence[Location]) -> None:
    """Removes directories of portions, and that of all if nothing is left.

    A portion that another process is working on stays.
    """
    for portion in portions:
        lock = contextlib.nullcontext()
        if not is_remote(portion):
            lock = exclusive(portion / _LOCK, _busy(portion))
        with contextlib.suppress(UserError, OSError), lock:
            epath.Path(portion).rmtree()
    for parent in {portion.parent for portion in portions}:
        # Of a remote directory nothing is left; epath has an error of its own.
        with contextlib.suppress(OSError, ValueError):
            parent.rmdir()
