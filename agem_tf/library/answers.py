"""Searches an index by many queries, and shows what is found.

As lines of text, JSON or CSV, or as a page of photos.
"""

import csv
import dataclasses
import io
import itertools
import json
import os
import sys
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import PIL.Image

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.errors import UserError
from agem_tf.files import arrays
from agem_tf.library.photo_index import PhotoIndex
from agem_tf.library.recognition import Recognition, Voting, vote
from agem_tf.pages import templates
from agem_tf.pages.photo_sources import report_absence
from agem_tf.pages.report import counted, jpeg_url, shortened
from agem_tf.photos.boxes import Box
from agem_tf.photos.listing import list_folder
from agem_tf.photos.reading import read_thumbnail
from agem_tf.retrieval.indexes import Match, StoredIndex

# Longest side in pixels of the photos of a page.
PAGE_SIDE = 480
# Queries whose descriptors are extracted and searched for together.
_BATCH = 64
# Characters of the metadata of a photo in a line of text.
_METADATA_LENGTH = 160


@dataclasses.dataclass(frozen=True)
class Answer:
    """A query and its results.

    Attributes:
        query: path or name of the query photo.
        matches: photos that were found, best first.
        box: x1, y1, x2, y2 in pixels of the upright query photo, the part that
            was searched for; None for the whole photo.
        inliers: number of inliers of the first matches, if they are verified.
        recognition: label that the matches vote for, if it is asked for.
    """

    query: str
    matches: list[Match]
    box: Box | None = None
    inliers: Sequence[int] | None = None
    recognition: Recognition | None = None

    def lines(self) -> str:
        """Returns the query, its label if any, and a line per match.

        A line has rank, similarity, inliers if any, name and metadata. Line
        breaks within them are escaped, so that no name or label looks like a
        match.
        """
        lines = [
            f"{rank:4} {match.similarity:7.4f}{self._count(rank, 13)}  "
            f"{match.name}{_listed(match)}"
            for rank, match in enumerate(self.matches, 1)
        ]
        heading = self.query
        if self.recognition is not None:
            heading += f"  {self.recognition.line()}"
        return "\n".join(
            line.replace("\n", "\\n") for line in [heading, *lines]
        )

    def caption(self, rank: int) -> str:
        """Returns rank, similarity, and inliers and copies if any."""
        match = self.matches[rank - 1]
        caption = f"{rank}: {match.similarity:.3f}{self._count(rank)}"
        if match.copies:
            caption += f", {counted(len(match.copies), 'copy', 'copies')}"
        return caption

    def lead(self) -> str:
        """Returns a sentence: how far the first match is ahead of the next.

        The farther, the surer it is. Empty without two matches, and where
        re-ranking puts a less similar photo first.
        """
        if len(self.matches) < 2:
            return ""
        if self.inliers is not None and len(self.inliers) > 1:
            first, second = self.inliers[:2]
            return (
                f"The first photo has {counted(first, 'inlier')}, the next "
                f"{second}."
            )
        lead = self.matches[0].similarity - self.matches[1].similarity
        if lead < 0:
            return ""
        return f"The first photo is {lead:.3f} more similar than the next."

    def to_json(self) -> str:
        """Returns one line of JSON."""
        matches = [
            {"rank": rank, "name": match.name, "similarity": match.similarity}
            | ({"metadata": dict(match.metadata)} if match.metadata else {})
            | ({"copies": list(match.copies)} if match.copies else {})
            for rank, match in enumerate(self.matches, 1)
        ]
        for match, inliers in zip(matches, self.inliers or (), strict=False):
            match["inliers"] = inliers
        answer = {"query": self.query, "box": self.box, "matches": matches}
        if self.recognition is not None:
            answer |= dataclasses.asdict(self.recognition)
        return json.dumps(answer)

    def to_csv(self, fields: Sequence[str] = ()) -> str:
        """Returns rows of query, rank, similarity, inliers if any, and name.

        Of a recognised photo it is one row of query, label and confidence.

        Args:
            fields: metadata to add to each row.
        """
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        if self.recognition is not None:
            label = self.recognition.label
            confidence = f"{self.recognition.confidence:.6f}"
            writer.writerow([self.query, label or "", confidence])
            return buffer.getvalue().removesuffix("\n")
        inliers = itertools.chain(self.inliers or (), itertools.repeat(""))
        for rank, (match, count) in enumerate(
            zip(self.matches, inliers, strict=False), 1
        ):
            found = [rank, f"{match.similarity:.6f}"]
            if self.inliers is not None:
                found.append(count)
            values = [match.metadata.get(field, "") for field in fields]
            shown = [
                json.dumps(x) if isinstance(x, list) else x for x in values
            ]
            writer.writerow([self.query, *found, match.name, *shown])
        return buffer.getvalue().removesuffix("\n")

    def recognized(self, voting: Voting, top: int) -> Self:
        """Returns the answer with the label that its matches vote for.

        Args:
            voting: how they vote.
            top: number of matches to keep.
        """
        return dataclasses.replace(
            self,
            matches=self.matches[:top],
            inliers=None if self.inliers is None else self.inliers[:top],
            recognition=vote(self.matches, voting),
        )

    def shown_as(self, kind: str, fields: Sequence[str] = ()) -> str:
        """Returns the answer as "text", "json" or "csv"; see `to_csv`."""
        if kind == "csv":
            return self.to_csv(fields)
        return self.to_json() if kind == "json" else self.lines()

    def _count(self, rank: int, width: int = 0) -> str:
        if self.inliers is None:
            return ""
        count = ""
        if rank <= len(self.inliers):
            count = f", {counted(self.inliers[rank - 1], 'inlier')}"
        return f"{count:{width}}" if width else count


def csv_heading(
    has_inliers: bool, fields: Sequence[str] = (), has_label: bool = False
) -> str:
    """Returns the first line of a CSV file of answers; see `Answer.to_csv`."""
    buffer = io.StringIO()
    inliers = ["inliers"] if has_inliers else []
    columns = ["query", "rank", "similarity", *inliers, "name", *fields]
    if has_label:
        columns = ["query", "label", "confidence"]
    csv.writer(buffer, lineterminator="").writerow(columns)
    return buffer.getvalue()


def _listed(match: Match) -> str:
    """Returns what follows the name of a match: its copies and metadata."""
    listed = ""
    if match.copies:
        listed = f"  (+ {counted(len(match.copies), 'copy', 'copies')})"
    if match.metadata:
        fields = ", ".join(
            f"{key}={shortened(_field_text(value))}"
            for key, value in match.metadata.items()
        )
        if len(fields) > _METADATA_LENGTH:
            fields = f"{fields[: _METADATA_LENGTH - 1]}…"
        listed += f"  [{fields}]"
    return listed


def _field_text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


@dataclasses.dataclass(frozen=True)
class SearchLimits:
    """Selection of answers from a ranking; see `PhotoIndex.search`."""

    top: int | None = None
    min_similarity: float | None = None
    exclude_self: bool = False
    where: str | None = None
    collapse: bool = False
    rerank: tuple[str, ...] = ()


def search_by_photos(
    stored: StoredIndex,
    paths: Sequence[str],
    top: int | None = None,
    box: Box | None = None,
    limits: SearchLimits | None = None,
) -> list[Answer]:
    """Searches by photos.

    Args:
        stored: the index.
        paths: paths of the photos, or names of indexed ones.
        top: number of photos to find per query, if there are no `limits`.
        box: x1, y1, x2, y2 in pixels of the upright photo, the part to search
            for; only with a single photo.
        limits: what to find.

    Returns:
        One answer per photo.

    Raises:
        UserError: a photo can't be read, the box is not inside it, or the
            index has no model or another one.
    """
    index = PhotoIndex(stored)
    rows = index.descriptors(paths, None if box is None else [box])
    limits = limits or SearchLimits(top)
    found = index.search_descriptors(rows, **dataclasses.asdict(limits))
    return [
        Answer(path, matches, box)
        for path, matches in zip(paths, found, strict=True)
    ]


def search_in_batches(
    stored: StoredIndex,
    paths: Sequence[str],
    limits: SearchLimits,
    unreadable: list[str],
) -> Iterator[Answer]:
    """Searches by any number of photos, and skips those that can't be read.

    Args:
        stored, paths, limits: see `search_by_photos`.
        unreadable: receives the message about each photo that is skipped.

    Raises:
        UserError: the index has no model, or another one.
    """
    index, remaining = PhotoIndex(stored), iter(paths)
    skipped: set[str] = set()

    def skip(path: str, error: UserError) -> None:
        skipped.add(path)
        unreadable.append(str(error))

    while batch := list(itertools.islice(remaining, _BATCH)):
        skipped.clear()
        rows = index.descriptors(batch, skip=skip)
        readable = [path for path in batch if path not in skipped]
        if not readable:
            continue
        found = index.search_descriptors(rows, **dataclasses.asdict(limits))
        for path, matches in zip(readable, found, strict=True):
            yield Answer(path, matches)


def search_by_examples(
    stored: StoredIndex,
    like: Sequence[str],
    unlike: Sequence[str],
    limits: SearchLimits,
) -> Answer:
    """Searches once by several photos; see `PhotoIndex.combined`.

    The examples themselves are left out of the answer.
    """
    index = PhotoIndex(stored)
    row = index.combined(like, unlike)
    examples = {
        os.path.relpath(path, index.folder) if index.folder else path
        for path in map(os.path.abspath, (*like, *unlike))
    }.union(like, unlike)
    (matches,) = index.search_descriptors(
        row, **dataclasses.asdict(limits), exclude=examples
    )
    query = " ".join(
        [f"like {path}" for path in like]
        + [f"unlike {path}" for path in unlike]
    )
    return Answer(query, matches)


def search_by_descriptors(
    stored: StoredIndex,
    descriptors: str,
    top: int | None = None,
    limits: SearchLimits | None = None,
) -> list[Answer]:
    """Searches by extracted descriptors.

    Args:
        stored: the index.
        descriptors: directory of a descriptor set.
        top, limits: see `search_by_photos`.

    Returns:
        One answer per descriptor.

    Raises:
        UserError: the descriptors are missing or damaged, or another model or
            other settings made them.
    """
    queries = stored.fitted(
        DescriptorSet.load(descriptors, verify=True), descriptors
    )
    limits = limits or SearchLimits(top)
    found = PhotoIndex(stored).search_descriptors(
        queries.descriptors, **dataclasses.asdict(limits)
    )
    return [
        Answer(query, matches)
        for query, matches in zip(queries.names, found, strict=True)
    ]


def listed_queries(path: str) -> list[str]:
    """Returns the photos of a list, one per line.

    Args:
        path: path of the list, which relative paths may start from too; "-" for
            standard input.

    Raises:
        UserError: it names no photo.
    """
    if path == "-":
        lines, base = arrays.split_names(sys.stdin.buffer.read()), ""
    else:
        lines, base = arrays.read_names(Path(path)), os.path.dirname(path)
        # Editors on Windows mark UTF-8.
        lines[:1] = [line.removeprefix("\ufeff") for line in lines[:1]]
    beside = [os.path.join(base, line) for line in lines if line]
    found = [
        joined if os.path.exists(joined) else line
        for joined, line in zip(beside, filter(None, lines), strict=True)
    ]
    if not found:
        raise UserError(f"The list {path} names no photo; give one per line.")
    return found


def expand_folders(paths: Sequence[str]) -> list[str]:
    """Replaces folders by the photos in them."""
    return [
        photo
        for path in paths
        for photo in (list_folder(path) if os.path.isdir(path) else [path])
    ]


def answers_page(
    answers: Sequence[Answer],
    folder: str | None,
    query_folder: str | None = None,
    title: str = "Search",
    noun: str = "query",
    nouns: str = "queries",
    caption: str = "query",
    has_leads: bool = True,
) -> str:
    """Returns queries and their results as one HTML file.

    A photo that can't be read is shown by its name.

    Args:
        answers: queries and their results.
        folder: folder that the names are relative to, if it is known.
        query_folder: folder that the queries are relative to; by default the
            working directory and then `folder`.
        title: title of the page.
        noun, nouns: what the page calls one query, and several.
        caption: text below the photo of each query.
        has_leads: whether to say how far each first result is ahead.
    """
    query_folders = (query_folder or "", folder)
    queries = counted(len(answers), noun, nouns)
    count = sum(len(answer.matches) for answer in answers)
    found = {
        match.name: _shown(find_photo(match.name, folder, ""))
        for answer in answers
        for match in answer.matches
    }
    pictures = {name: photo for name, (photo, _) in found.items()}
    report_absence(pictures, folder, "folder")
    return templates.rendered(
        "agem_tf.library",
        "answers.html",
        {"shortened": shortened, "photo": jpeg_url},
        title=title,
        subtitle=f"{queries}, {counted(count, 'photo')} found.",
        caption=caption,
        has_leads=has_leads,
        shown=[
            (
                answer,
                *_shown(find_photo(answer.query, *query_folders), answer.box),
                [(match, *found[match.name]) for match in answer.matches],
            )
            for answer in answers
        ],
    )


def save_answers_page(
    path: str | os.PathLike,
    answers: Sequence[Answer],
    folder: str | None,
    **settings: str | bool | None,
) -> None:
    """Writes a page to a file; see `answers_page`."""
    templates.save_page(path, answers_page(answers, folder, **settings))


def find_photo(name: str, *folders: str | None) -> str:
    """Returns the path of a photo in the first of some folders that has it.

    Args:
        name: path of the photo, relative to one of the folders.
        *folders: the folders; "" is the working directory, None no folder.
    """
    paths = [os.path.join(f, name) for f in folders if f is not None]
    return next(filter(os.path.exists, paths), paths[0])


def photo_address(path: str) -> str | None:
    """Returns the address of a photo on this machine, None if it is gone."""
    if not os.path.exists(path):
        return None
    return "file://" + urllib.parse.quote(os.fsencode(os.path.abspath(path)))


def _shown(
    path: str, box: Box | None = None
) -> tuple[PIL.Image.Image | None, str | None]:
    """Returns a photo and its address; None if the file is gone."""
    address = photo_address(path)
    photo = None if address is None else read_thumbnail(path, PAGE_SIDE, box)
    return photo, address
