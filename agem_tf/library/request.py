"""What is asked of `agem_tf.index`, checked before anything slow is loaded."""

import dataclasses
from collections.abc import Iterator, Sequence

from agem_tf.errors import UserError
from agem_tf.retrieval.indexes import Storage, storage_at
from agem_tf.retrieval.indexes.exact_index import FACTORY as EXACT

# How a new index is made; without effect on one that is there already.
_MAKING = (
    "dimension",
    "factory",
    "image_size",
    "overwrite",
    "scales",
    "whitening",
    "workdir",
)
# How photos are read and described; descriptors have that behind them.
_READING = ("image_size", "scales", "skip_bad")


@dataclasses.dataclass(frozen=True)
class IndexRequest:
    """Exactly one of photos, descriptors and remove, and how.

    Attributes:
        index: where the index is; a directory or "milvus:ADDRESS".
        photos: folder to index.
        descriptors: descriptor set to index.
        remove: names of photos to remove.
        add: add to the index what it has not, instead of making one.
        overwrite: replace an index that is there.
        skip_bad: leave out photos that can't be read instead of stopping.
        factory: "exact", a FAISS factory string, or a kind of Milvus.
        workdir: of the run whose model describes, or has described, photos.
        whitening: directory of a whitening to apply.
        dimension: to keep, by the whitening or by a PCA.
        scales, image_size: at which photos are described.
        model: for Milvus, directory of the SavedModel.
    """

    index: str
    photos: str | None = None
    descriptors: str | None = None
    remove: Sequence[str] = ()
    add: bool = False
    overwrite: bool = False
    skip_bad: bool = False
    factory: str | None = None
    workdir: str | None = None
    whitening: str | None = None
    dimension: int | None = None
    scales: Sequence[float] | None = None
    image_size: int | None = None
    model: str | None = None

    def __post_init__(self) -> None:
        sources = [bool(self.photos), bool(self.descriptors), bool(self.remove)]
        if sum(sources) != 1:
            raise UserError(
                "Give one of --photos=DIR, --descriptors=DIR and --remove=NAME."
            )
        for flag, reason in self._without_effect():
            if getattr(self, flag) not in (None, False):
                raise UserError(f"--{flag} {reason}; leave it out.")

    @property
    def kind(self) -> str:
        """The kind of the index, when nothing was said too."""
        return self.factory or EXACT

    def storage(self) -> Storage:
        """Returns where the index is, or is to be.

        Raises:
            UserError: a new index is asked for where there is one.
        """
        storage = storage_at(self.index, self.model)
        makes_one = not (self.add or self.remove or self.overwrite)
        if makes_one and storage.exists:
            raise UserError(
                f"There is an index at {self.index}; --add adds to it, "
                "--overwrite replaces it."
            )
        return storage

    def _without_effect(self) -> Iterator[tuple[str, str]]:
        """Yields flags that would do nothing, and why."""
        if self.remove:
            yield "add", "does not go with --remove"
        if self.add or self.remove:
            for flag in _MAKING:
                yield flag, "is for a new index, this one is made already"
        if not self.photos:
            for flag in _READING:
                yield flag, "is for --photos"
