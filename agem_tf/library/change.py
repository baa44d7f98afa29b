"""What became of an index, and the removal of photos, which needs no model."""

import dataclasses
from collections.abc import Sequence

from agem_tf.errors import UserError
from agem_tf.retrieval.indexes import DescriptorIndex, FaissIndex, Storage


@dataclasses.dataclass
class Change:
    """What became of the photos.

    Attributes:
        added: photos that the index has now and had not before.
        present: photos that it had before; they are left as they are.
        removed: photos that it has no longer.
        skipped: {"photo", "reason"} of each that could not be read.
        total: photos that can be found now.
        ghosts: removed photos whose descriptors stay in the files of an index
            that can't forget, see `FaissIndex`.
    """

    added: int = 0
    present: int = 0
    removed: int = 0
    skipped: list[dict[str, str]] = dataclasses.field(default_factory=list)
    total: int = 0
    ghosts: int = 0

    def skip(self, path: str, error: UserError) -> None:
        """Notes a photo that could not be read."""
        # Escaped, as far as a terminal could not print it.
        shown = path if path.isprintable() else repr(path)
        self.skipped.append({"photo": shown, "reason": str(error)})

    def count(self, index: DescriptorIndex) -> None:
        """Notes what the index holds now."""
        self.total = len(index)
        self.ghosts = index.ghosts if isinstance(index, FaissIndex) else 0

    def describe(self) -> str:
        """Returns the lines that end the command."""
        lines = [f"skipped {s['photo']}: {s['reason']}" for s in self.skipped]
        counts = {
            "added": self.added,
            "there already": self.present,
            "removed": self.removed,
            "skipped": len(self.skipped),
        }
        parts = [f"{count} {what}" for what, count in counts.items() if count]
        lines.append(
            f"{', '.join(parts) or 'Nothing to do'}; {self.total} photos"
        )
        if self.ghosts:
            lines.append(
                f"The descriptors of {self.ghosts} removed photos stay in the "
                "file, unseen; this kind of index forgets them only when it is "
                "made anew."
            )
        return "\n".join(lines)


def remove_photos(storage: Storage, names: Sequence[str]) -> Change:
    """Removes photos from an index.

    Raises:
        UserError: a name is not in the index, or none would be left.
    """
    with storage.changed() as stored:
        stored.index.remove(names)
        change = Change(removed=len(set(names)))
        change.count(stored.index)
    return change
