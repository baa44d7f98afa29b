"""Lists the photos of a folder, of folders per landmark, or of a CSV.

No photo is opened here. Later stages keep names in UTF-8 files with one name
per line; names that do not fit are refused here, before hours are spent.
"""

import collections
import contextlib
import itertools
import logging
import math
import os
import pathlib
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from agem_tf.errors import UserError
from agem_tf.files.csv_tables import csv_rows
from agem_tf.files.locations import any_location
from agem_tf.files.manifest import MANIFEST
from agem_tf.files.stored_items import StoredItems
from agem_tf.photos.reading import SUFFIXES, EncodedPhoto

_LOG = logging.getLogger(__name__)

# Label of photos without a landmark.
UNKNOWN = -1
# Labels become int32 for the losses.
MAX_LABEL = 2**31 - 1

Example = dict[str, Any]


class _File(NamedTuple):
    """The file of a listed photo, identified by device and inode."""

    device: int
    number: int
    name: str
    landmark: str


class ListedPhoto(NamedTuple):
    """One photo; a tuple of plain values, which JSON can hold.

    Attributes:
        path: path of the file.
        name: name of the photo, unique in its split.
        landmark: name of the landmark; empty if it is not known.
        label: an integer, equal for equal landmarks; `UNKNOWN` for none.
        box: x1, y1, x2, y2 in pixels, cut out when the photo is a query; None
            for the whole photo.
    """

    path: str
    name: str
    landmark: str = ""
    label: int = UNKNOWN
    box: tuple[float, float, float, float] | None = None

    def example(self, photo: EncodedPhoto) -> Example:
        """Returns the features of a record.

        Args:
            photo: the photo at `path`, as read.
        """
        box = np.asarray(self.box or (0, 0, 0, 0), np.float32)
        return {
            "image": photo.encoded,
            "name": self.name,
            "landmark": self.landmark,
            "label": self.label,
            "box": box / photo.reduction,
        }


_COLUMNS = ["path", "landmark", "x1", "y1", "x2", "y2"]
# Folders that file servers and archives create beside the photos.
_HIDDEN = frozenset({"@eaDir", "__MACOSX"})


def list_landmarks(
    source: str,
) -> tuple[collections.Counter[str], StoredItems[ListedPhoto]]:
    """Lists the photos of landmarks, any number of them.

    Args:
        source: Local or remote (gs://) path of a folder with one folder per
            landmark, which is searched recursively without hidden files; or of
            a CSV with rows `path,landmark` or `path,landmark,x1,y1,x2,y2`,
            where a header is optional and paths are relative to the CSV.

    Returns:
        The number of photos of each landmark, 0 for an empty folder; and the
        photos, without labels, in the order of their paths.

    Raises:
        UserError: The source is missing, empty or malformed, or has one file
            under two landmarks.
    """
    if not source:
        raise UserError(
            "The photos have no source; give --source=DIR (data.source in a "
            "recipe), a folder with one folder per landmark or a CSV."
        )
    root = any_location(source, "--source")
    is_local = "://" not in os.fspath(root)
    if is_local:
        # Unlike epath, its `is_file` is false for pipes.
        root = pathlib.Path(root)
    listed = _list_csv(root) if root.is_file() else _list_folder(root)
    if is_local:
        _check_landmarks_of_files(listed[1])
    return listed


def _check_landmarks_of_files(listed: Iterable[ListedPhoto]) -> None:
    """Checks that no file is a photo of two landmarks.

    Links, and on some disks other letter cases, give one file several paths.

    Raises:
        UserError: A file is.
    """

    def files() -> Iterator[_File]:
        for photo in listed:
            # A missing photo is reported when it is read.
            with contextlib.suppress(OSError, ValueError):
                facts = os.stat(photo.path)
                yield _File(
                    facts.st_dev, facts.st_ino, photo.name, photo.landmark
                )

    for one, other in itertools.pairwise(
        StoredItems(_File, files(), lambda file: str(file[:2]).encode())
    ):
        if one[:2] == other[:2] and one.landmark != other.landmark:
            raise UserError(
                f"{other.name} of the landmark {other.landmark!r} is the file "
                f"{one.name} of the landmark {one.landmark!r} by another path, "
                "such as a link; keep one of the two."
            )


def check_folder(folder: str | None) -> None:
    """Checks that the folder of indexed photos, if one is given, is there.

    Raises:
        UserError: It is not a folder.
    """
    if folder is not None and not os.path.isdir(folder):
        raise UserError(
            f"No folder at {folder}; give the folder of the indexed photos as "
            "--folder=DIR."
        )


def check_name(
    name: str, remedy: str = "rename it, or pass --skip_bad"
) -> None:
    """Checks that a name fits on one line of a UTF-8 file.

    Args:
        name: Name or path of a photo.
        remedy: What the user can do, which ends the error.

    Raises:
        UserError: It has a line break, or bytes that are not UTF-8.
    """
    encodable = name.encode(errors="ignore").decode() == name
    if not encodable or "\n" in name or "\r" in name:
        raise UserError(
            f"The name {name!r} has a line break or is not UTF-8; {remedy}."
        )


def _list_folder(
    root: pathlib.Path,
) -> tuple[collections.Counter[str], StoredItems[ListedPhoto]]:
    if not root.is_dir():
        raise UserError(f"No folder or CSV at {root}; give --source=DIR.")
    counts = collections.Counter(
        {
            path.name: 0
            for path in root.iterdir()
            if path.is_dir() and not is_hidden(path.name)
        }
    )
    if not counts:
        raise UserError(
            f"{root} has no folder in it; make one folder per landmark, with "
            "its photos inside."
        )
    skipped, first = 0, ""

    def photos() -> Iterator[ListedPhoto]:
        nonlocal skipped, first
        for path in _files(root):
            name = path.relative_to(root)
            if path.suffix.lower() in SUFFIXES and len(name.parts) > 1:
                landmark = name.parts[0]
                counts[landmark] += 1
                yield ListedPhoto(str(path), name.as_posix(), landmark)
            else:
                skipped, first = skipped + 1, first or name.as_posix()

    listed = StoredItems(ListedPhoto, photos(), _file_of)
    if skipped:
        _LOG.info(
            "%d %s of %s %s skipped: not in the folder of a landmark, or of "
            "an unsupported format; the first: %r",
            skipped,
            "file" if skipped == 1 else "files",
            root,
            "is" if skipped == 1 else "are",
            first,
        )
    return counts, listed


def _files(
    folder: pathlib.Path, above: frozenset[str] = frozenset()
) -> Iterator[pathlib.Path]:
    """Yields the files below a folder that are not hidden, by name.

    Links to folders are followed, except to a folder above them. Pipes and
    broken links are yielded too, and are reported when they are read.
    """
    real = os.path.realpath(folder)
    if real in above:
        return
    for path in sorted(folder.iterdir()):
        if is_hidden(path.name):
            continue
        if path.is_dir():
            yield from _files(path, above | {real})
        else:
            yield path


def is_hidden(name: str) -> bool:
    """Whether files or folders of this name are skipped silently."""
    return name.startswith(".") or name in _HIDDEN


def _list_csv(
    path: pathlib.Path,
) -> tuple[collections.Counter[str], StoredItems[ListedPhoto]]:
    counts: collections.Counter[str] = collections.Counter()

    def photos() -> Iterator[ListedPhoto]:
        for _, photo in _csv_photos(path):
            counts[photo.landmark] += 1
            yield photo

    listed = StoredItems(ListedPhoto, photos(), _file_of)
    if not listed:
        raise UserError(f"{path} names no photo; write rows path,landmark.")
    for photo, following in itertools.pairwise(listed):
        if _file_of(photo) == _file_of(following):
            lines = (
                line
                for line, other in _csv_photos(path)
                if _file_of(other) == _file_of(photo)
            )
            first, line = itertools.islice(lines, 2)
            raise UserError(
                f"{path}:{line} names {following.name} again, after line "
                f"{first}; keep one row."
            )
    return counts, listed


def _csv_photos(path: pathlib.Path) -> Iterator[tuple[int, ListedPhoto]]:
    """Yields the line and the photo of each row."""
    for number, (line, cells) in enumerate(csv_rows(path)):
        if number or not _is_header(path, cells):
            yield line, _parse_row(path, line, cells)


def _file_of(photo: ListedPhoto) -> bytes:
    """Returns what is equal for photos of one file.

    "a/../b.jpg" and "b.jpg", composed or not, are one file.
    """
    file = unicodedata.normalize("NFC", os.path.normpath(photo.path))
    return file.encode(errors="surrogatepass")


def _is_header(path: pathlib.Path, cells: list[str]) -> bool:
    """Whether the first row is the header.

    Raises:
        UserError: It is the header of another program.
    """
    names = [cell.lower() for cell in cells]
    if names == _COLUMNS[: len(cells)]:
        return True
    is_photo = pathlib.PurePath(cells[0]).suffix.lower() in SUFFIXES
    if not is_photo and not (path.parent / cells[0]).exists():
        raise UserError(
            f"{path}:1 is neither a photo nor the header path,landmark or "
            f"path,landmark,x1,y1,x2,y2. Received: {','.join(cells)}"
        )
    return False


def _parse_row(path: pathlib.Path, line: int, cells: list[str]) -> ListedPhoto:
    try:
        if len(cells) not in (2, 6):
            raise ValueError(f"{len(cells)} cells")
        if not any(cells[2:]):  # Spreadsheets leave the cells of no box empty.
            cells = cells[:2]
        if not all(cells):
            raise ValueError("an empty cell")
        box = tuple(float(cell) for cell in cells[2:])
        # Zeros stand for the whole photo.
        if any(box) and not (
            all(map(math.isfinite, box)) and box[0] < box[2] and box[1] < box[3]
        ):
            raise ValueError("a box without area, or not inside a photo")
        if any("\n" in cell or "\r" in cell for cell in cells):
            raise ValueError("a line break")
    except ValueError as error:
        raise UserError(
            f"{path}:{line} is not path,landmark or "
            f"path,landmark,x1,y1,x2,y2 ({error})."
        ) from error
    name, file = _find_file(path.parent, cells[0])
    return ListedPhoto(file, name, cells[1], box=box if any(box) else None)


def _find_file(folder: pathlib.Path, cell: str) -> tuple[str, str]:
    """Returns name and path of the photo that a cell of a CSV names.

    A list from Windows has backslashes, and one from macOS may have another
    Unicode normal form than the file; the first path that exists is taken.
    """
    names = dict.fromkeys([cell, cell.replace("\\", "/")])
    # Plain names are not looked up: a million look-ups take minutes.
    if len(names) > 1 or not cell.isascii():
        for name in names:
            for form in ("NFC", "NFD"):
                for written in (name, unicodedata.normalize(form, name)):
                    if (folder / written).exists():
                        shown = pathlib.PurePath(name).as_posix()
                        return shown, os.fspath(folder / written)
    return pathlib.PurePath(cell).as_posix(), os.fspath(folder / cell)


def list_folder(
    folder: str, others: collections.Counter[str] | None = None
) -> list[str]:
    """Lists the photos of a folder and its subfolders.

    Hidden files and folders are skipped. Links to folders are followed, the
    folder's own subfolders first; each folder is listed once, however many
    links lead to it. Pipes and broken links are listed too, and are
    reported when they are read.

    Args:
        folder: Local path of the folder.
        others: Counts the files that are not photos, by suffix, but those of
            directories with a manifest, such as an index among the photos.

    Returns:
        Absolute paths, sorted within each folder.

    Raises:
        UserError: The folder is missing or holds no photo.
        OSError: A subfolder can't be read.
    """

    root = os.path.abspath(os.path.expanduser(folder))

    def stop(error: OSError) -> None:
        # A subfolder may be removed or renamed while the folder is listed.
        is_gone = isinstance(error, FileNotFoundError)
        if not is_gone or error.filename == root:
            raise error

    if not os.path.isdir(root):
        raise UserError(f"No folder at {folder}; give --photos=DIR.")
    found, seen, own, waiting = [], set(), set(), [root]
    for top in waiting:  # Grows by the links that are met.
        if os.path.realpath(top) in seen:
            continue
        for directory, subfolders, files in os.walk(top, onerror=stop):
            seen.add(os.path.realpath(directory))
            paths = [
                os.path.join(directory, name)
                for name in sorted(subfolders)
                if not is_hidden(name)
            ]
            waiting += filter(os.path.islink, paths)
            subfolders[:] = [
                os.path.basename(path)
                for path in paths
                if os.path.realpath(path) not in seen
            ]
            if MANIFEST in files or os.path.dirname(directory) in own:
                own.add(directory)
            for file in sorted(itertools.filterfalse(is_hidden, files)):
                suffix = pathlib.PurePath(file).suffix.lower()
                if suffix in SUFFIXES:
                    found.append(os.path.join(directory, file))
                elif others is not None and directory not in own:
                    others[suffix] += 1
    if not found:
        raise UserError(
            f"{folder} holds no photo; photos end in "
            f"{', '.join(sorted(SUFFIXES))}."
        )
    return found
