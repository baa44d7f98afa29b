"""Counts of a change of an index, and what all changes of photos share."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from agem_tf.errors import PartialResultError, UserError
from agem_tf.files.provenance import check_same_provenance
from agem_tf.files.rows import SelectedRows
from agem_tf.library.describing import Described, Unreadable, photo_name
from agem_tf.photos.listing import check_name
from agem_tf.photos.reading import opened, read_photo_file
from agem_tf.retrieval.indexes import DescriptorIndex, Draft, StoredIndex
from agem_tf.retrieval.indexes.photo_states import PhotoState

# The photo is left out already.
_REMEDY = "replace or remove it"
# Lines about photos that can't be read; the index lists them all.
_MOST_SKIPPED_LINES = 20
_MOST_SUFFIXES = 10


@dataclasses.dataclass
class IndexChange:
    """Result of making or changing an index.

    Attributes:
        added: number of photos that the index holds now and did not before.
        present: number of photos that it held before and keeps.
        updated: number of photos that have changed and were described again.
        renamed: number of photos that have moved or have a new name.
        removed: number of photos that it no longer holds.
        skipped: {"photo", "reason"} of each unreadable photo.
        total: number of photos that can be found now.
        ghosts: number of removed photos whose descriptors stay in the files of
            the index.
        names: names of the photos that were described.
        others: number of files of the folder that are not photos, by suffix.
    """

    added: int = 0
    present: int = 0
    updated: int = 0
    renamed: int = 0
    removed: int = 0
    skipped: list[dict[str, str]] = dataclasses.field(default_factory=list)
    total: int = 0
    ghosts: int = 0
    names: list[str] = dataclasses.field(default_factory=list)
    others: Counter[str] = dataclasses.field(default_factory=Counter)

    def skip(self, unreadable: Mapping[str, Sequence]) -> None:
        """Records unreadable photos."""
        for path, (reason, *_) in unreadable.items():
            # Escaped where a terminal could not print it.
            shown = path if path.isprintable() else repr(path)
            self.skipped.append({"photo": shown, "reason": reason})

    def count(self, index: DescriptorIndex) -> None:
        """Records what the index holds now."""
        self.total = len(index)
        self.ghosts = index.ghosts

    def check_share(self, most: float) -> None:
        """Checks the share of unreadable photos.

        Args:
            most: largest accepted percentage of all photos.

        Raises:
            PartialResultError: there are more.
        """
        seen = self.added + self.present + self.updated + len(self.skipped)
        percent = 100 * len(self.skipped) / max(1, seen)
        if percent > most:
            raise PartialResultError(
                f"{len(self.skipped)} of {seen} photos ({percent:.1f} %) can't "
                "be read and were left out; repair them and give --sync or "
                f"--add, or accept more than --max_bad={most:g} percent."
            )

    def summary(self) -> str:
        """Returns the lines that end the command."""
        shown = self.skipped[:_MOST_SKIPPED_LINES]
        lines = [
            f"skipped: {entry['reason']}"
            if entry["reason"].startswith(entry["photo"])
            else f"skipped {entry['photo']}: {entry['reason']}"
            for entry in shown
        ]
        if len(shown) < len(self.skipped):
            more = len(self.skipped) - len(shown)
            lines.append(
                f"skipped {more} more; the manifest of an index in a directory "
                "lists all"
            )
        if self.others:
            shown = self.others.most_common(_MOST_SUFFIXES)
            files = [f"{n} {suffix or 'without suffix'}" for suffix, n in shown]
            lines.append(f"files that are not photos: {', '.join(files)}")
        counts = {
            "added": self.added,
            "there already": self.present,
            "described again": self.updated,
            "moved": self.renamed,
            "removed": self.removed,
            "skipped": len(self.skipped),
        }
        parts = [f"{count} {what}" for what, count in counts.items() if count]
        photos = "photo" if self.total == 1 else "photos"
        lines.append(
            f"{', '.join(parts) or 'Nothing to do'}; {self.total} {photos}"
        )
        if self.ghosts and (self.removed or self.updated or self.renamed):
            lines.append(
                f"Descriptors of removed photos that stay in the files, where "
                f"searches ignore them: {self.ghosts}. Only a new index is "
                "sure to be free of them."
            )
        return "\n".join(lines)


def add_described(
    stored: StoredIndex, described: Described, gone: set[str] = frozenset()
) -> int:
    """Adds photos, unless another process has done so meanwhile.

    Returns:
        The number of added photos.

    Raises:
        UserError: another process has replaced the index meanwhile, and another
            model makes its descriptors.
    """
    photos = described.photos
    try:
        check_same_provenance(photos.provenance, stored.origin.provenance)
    except UserError as error:
        raise UserError(
            f"Another process has replaced {stored.place} meanwhile, with "
            "another model or other settings; give the same command again."
        ) from error
    known = stored.index.known(photos.names) - gone
    rows = [i for i, name in enumerate(photos.names) if name not in known]
    stored.index.exchange(
        gone,
        [photos.names[row] for row in rows],
        SelectedRows(photos.descriptors, np.array(rows, np.int64)),
    )
    return len(rows)


def record_described(
    target: Draft | StoredIndex,
    described: Described,
    root: str | None,
    change: IndexChange,
) -> None:
    """Records the states of described photos, and those left out."""
    change.names += described.photos.names
    for name, state in zip(
        described.photos.names, described.states, strict=True
    ):
        target.states.record(name, state)
        target.unreadable.pop(name, None)
    for path, noted in described.unreadable.items():
        target.unreadable[photo_name(path, root)] = list(noted)
    change.skip(described.unreadable)


def still_unreadable(
    stored: StoredIndex, name: str, path: str
) -> Unreadable | None:
    """Returns why an unreadable photo of the index is one still, else None.

    A file that has not changed is tried again, because its permissions may have
    changed, or its format may be supported now.
    """
    if name not in stored.unreadable:
        return None
    noted = Unreadable(*stored.unreadable[name])
    state = PhotoState.of(path)
    if not state.is_like(PhotoState(noted.size, noted.modified)):
        return None
    try:
        check_name(path, "rename it")
        with opened(read_photo_file(path, _REMEDY), path, _REMEDY):
            return None
    except UserError as error:
        # The folder, which the noted reason names, may have moved.
        return noted._replace(reason=str(error))
