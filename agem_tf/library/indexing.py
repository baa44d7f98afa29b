"""Makes an index of photos or of descriptors, adds to it, removes from it.

Descriptors go to disk batch by batch, so that a million photos need no more
memory than a thousand; the index is made from there. TensorFlow is imported
only where descriptors are extracted: an addition without new photos, or a
removal, takes a second.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from agem_tf import native_output
from agem_tf.descriptors.descriptor_set import DescriptorSet, check_finite
from agem_tf.errors import UserError
from agem_tf.files.rows import SelectedRows, write_rows
from agem_tf.library.reduction import Reduction
from agem_tf.photos.listing import check_name, list_folder
from agem_tf.retrieval.indexes import (
    DescriptorIndex,
    Draft,
    Origin,
    Storage,
)

if TYPE_CHECKING:
    from agem_tf.extraction.photo_files import FileExtractor

Skip = Callable[[str, UserError], None]


@dataclasses.dataclass
class IndexChange:
    """Result of making or changing an index.

    Attributes:
        added: number of photos that the index holds now and did not before.
        present: number of photos that it held before and keeps.
        removed: number of photos that it no longer holds.
        skipped: {"photo", "reason"} of each unreadable photo.
        total: number of photos that can be found now.
        ghosts: number of removed photos whose descriptors stay in the files of
            an index that can't forget; see `FaissIndex`.
    """

    added: int = 0
    present: int = 0
    removed: int = 0
    skipped: list[dict[str, str]] = dataclasses.field(default_factory=list)
    total: int = 0
    ghosts: int = 0

    def skip(self, path: str, error: UserError) -> None:
        """Records an unreadable photo."""
        # Escaped where a terminal could not print it.
        shown = path if path.isprintable() else repr(path)
        self.skipped.append({"photo": shown, "reason": str(error)})

    def count(self, index: DescriptorIndex) -> None:
        """Records what the index holds now."""
        self.total = len(index)
        self.ghosts = index.ghosts

    def summary(self) -> str:
        """Returns the lines that end the command."""
        lines = [f"skipped {s['photo']}: {s['reason']}" for s in self.skipped]
        counts = {
            "added": self.added,
            "there already": self.present,
            "removed": self.removed,
            "skipped": len(self.skipped),
        }
        parts = [f"{count} {what}" for what, count in counts.items() if count]
        photos = "photo" if self.total == 1 else "photos"
        lines.append(
            f"{', '.join(parts) or 'Nothing to do'}; {self.total} {photos}"
        )
        if self.ghosts:
            lines.append(
                f"Descriptors of removed photos that stay in the file, where "
                f"searches ignore them: {self.ghosts}. Only a new index is "
                "free of them."
            )
        return "\n".join(lines)


def index_photos(
    storage: Storage,
    photos: str,
    *,
    factory: str = "exact",
    workdir: str | None = None,
    scales: Sequence[float] | None = None,
    image_size: int | None = None,
    whitening: str | None = None,
    dimension: int | None = None,
    skip_bad: bool = False,
) -> IndexChange:
    """Makes an index of the photos of a folder.

    Args:
        storage: where the index is made, or replaced.
        photos: folder of the photos.
        factory: kind of the index: "exact", a FAISS factory string, or a kind
            of Milvus.
        workdir: run whose best model extracts the descriptors, if any.
        scales: scales of the photos; by default those of the model's recipe.
        image_size: pixels of the longer side; by default as in the recipe.
        whitening: directory of a whitening to apply.
        dimension: dimension to keep, by the whitening or by a PCA.
        skip_bad: whether to leave out unreadable photos.

    Raises:
        UserError: the folder holds no photo, a photo can't be read, or the
            model, the whitening or the kind of index does not fit.
    """
    paths = list_folder(photos)
    with native_output.captured():
        from agem_tf.library import photo_models

    model = photo_models.model_for_photos(workdir, scales, image_size)
    reduction = Reduction.load(whitening, dimension)
    storage.check(
        factory, reduction.check(model.dimension, len(paths)), len(paths)
    )
    final = model
    if reduction.whitening is not None:
        final = model.whitened(reduction.whitening, dimension)
    learns_pca = reduction.whitening is None and dimension is not None
    change = IndexChange()
    root = os.path.abspath(os.path.expanduser(photos))
    with storage.created() as draft:
        # First, so that a model of another index in its place is found before
        # a million photos are read. A PCA is known only afterwards.
        if not learns_pca:
            photo_models.save_model_once(final, draft.model)
        extracted = _extract(
            model.extractor(),
            paths,
            root,
            draft.scratch,
            change.skip if skip_bad else None,
        )
        extracted, learned = reduction.apply(extracted, draft.scratch)
        if learns_pca:
            final = model.whitened(learned, dimension)
            photo_models.save_model_once(final, draft.model)
        origin = Origin(extracted.provenance, root, draft.model, learned)
        _fill(draft, factory, extracted, origin, change)
    return change


def index_descriptors(
    storage: Storage,
    descriptors: str,
    *,
    factory: str = "exact",
    workdir: str | None = None,
    whitening: str | None = None,
    dimension: int | None = None,
) -> IndexChange:
    """Makes an index of descriptors that `agem_tf.extract` wrote.

    Args:
        storage: where the index is made, or replaced.
        descriptors: directory of the descriptor set.
        factory: see `index_photos`.
        workdir: run that made the descriptors; with it, the index can be
            searched by photos too.
        whitening, dimension: see `index_photos`.

    Raises:
        UserError: the descriptors are damaged, or the model, the whitening or
            the kind of index does not fit.
    """
    extracted = DescriptorSet.load(descriptors, verify=True)
    count, size = extracted.descriptors.shape
    reduction = Reduction.load(whitening, dimension)
    storage.check(factory, reduction.check(size, count), count)
    model = None
    if workdir:
        with native_output.captured():
            from agem_tf.library import photo_models

        model = photo_models.model_of_descriptors(
            workdir, extracted, descriptors
        )
    change = IndexChange()
    with storage.created() as draft:
        extracted, learned = reduction.apply(extracted, draft.scratch)
        if model is not None:
            if learned is not None:
                model = model.whitened(learned, dimension)
            photo_models.save_model_once(model, draft.model)
        path = draft.model if model is not None else None
        origin = Origin(extracted.provenance, None, path, learned)
        _fill(draft, factory, extracted, origin, change)
    return change


def add_photos(
    storage: Storage, photos: str, *, skip_bad: bool = False
) -> IndexChange:
    """Adds the photos of a folder that the index does not hold.

    Args:
        storage: where the index is.
        photos: the index's own folder or another one.
        skip_bad: whether to leave out unreadable photos.

    Raises:
        UserError: the index has no model or another one, the folder holds no
            photo, or a photo can't be read.
    """
    paths, change = list_folder(photos), IndexChange()
    stored = storage.open()
    change.present = len(_known(stored.index, paths, stored.origin.photos))
    if change.present == len(paths):
        change.count(stored.index)
        return change
    with native_output.captured():
        from agem_tf.library import photo_models

    with storage.changed() as stored:
        root = stored.origin.photos
        known = _known(stored.index, paths, root)
        new = [path for path in paths if _name(path, root) not in known]
        if new:
            extracted = _extract(
                photo_models.extractor_of(stored),
                new,
                root,
                stored.scratch,
                change.skip if skip_bad else None,
            )
            stored.index.add(extracted.names, extracted.descriptors)
            change.added = len(extracted.names)
        change.present = len(known)
        change.count(stored.index)
    return change


def add_descriptors(storage: Storage, descriptors: str) -> IndexChange:
    """Adds the rows of a descriptor set whose names the index does not hold.

    Args:
        storage: where the index is.
        descriptors: directory of the descriptor set.

    Raises:
        UserError: another model or other settings made the descriptors.
    """
    extracted = DescriptorSet.load(descriptors, verify=True)
    change = IndexChange()
    with storage.changed() as stored:
        fitted = stored.fitted(extracted, descriptors)
        known = stored.index.known(fitted.names)
        new = [i for i, name in enumerate(fitted.names) if name not in known]
        if new:
            stored.index.add(
                [fitted.names[i] for i in new],
                SelectedRows(fitted.descriptors, np.array(new)),
            )
        change.added, change.present = len(new), len(known)
        change.count(stored.index)
    return change


def remove_photos(storage: Storage, names: Sequence[str]) -> IndexChange:
    """Removes photos from an index.

    Args:
        storage: where the index is.
        names: names of the photos, as a search prints them.

    Raises:
        UserError: a name is not in the index, or none would be left.
    """
    with storage.changed() as stored:
        stored.index.remove(names)
        change = IndexChange(removed=len(set(names)))
        change.count(stored.index)
    return change


def _name(path: str, root: str | None) -> str:
    """Returns the name of a photo in an index of the folder `root`."""
    return path if root is None else os.path.relpath(path, root)


def _known(
    index: DescriptorIndex, paths: Sequence[str], root: str | None
) -> set[str]:
    return index.known([_name(path, root) for path in paths])


def _extract(
    extractor: FileExtractor,
    paths: Sequence[str],
    root: str | None,
    scratch: pathlib.Path,
    skip: Skip | None,
) -> DescriptorSet:
    """Extracts descriptors of photo files into a file in `scratch`."""
    named = list(_with_sound_names(paths, skip))
    names: list[str] = []

    def blocks() -> Iterator[np.ndarray]:
        for batch, rows in extractor.files(named, skip):
            batch_names = [_name(path, root) for path in batch]
            check_finite(rows, batch_names)
            names.extend(batch_names)
            yield rows

    rows = write_rows(scratch / "extracted.npy", blocks(), extractor.dimension)
    if not names:
        raise UserError("None of the photos can be read; repair them.")
    return DescriptorSet(names, rows, extractor.provenance)


def _with_sound_names(paths: Sequence[str], skip: Skip | None) -> Iterator[str]:
    for path in paths:
        try:
            check_name(path)
        except UserError as error:
            if skip is None:
                raise
            skip(path, error)
        else:
            yield path


def _fill(
    draft: Draft,
    factory: str,
    extracted: DescriptorSet,
    origin: Origin,
    change: IndexChange,
) -> None:
    count, dimension = extracted.descriptors.shape
    index = draft.start(factory, dimension, origin)
    index.add(extracted.names, extracted.descriptors)
    change.added = count
    change.count(index)
