"""Makes an index of photos or of descriptors, adds to it, removes from it.

Descriptors go to disk block by block, so that a million photos need no more
memory than a thousand and a killed job is resumed; the index is made from
there. TensorFlow is imported only where descriptors are extracted: an addition
without new photos, or a removal, takes a second.
"""

from __future__ import annotations

import fnmatch
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from agem_tf import cli
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.errors import UserError
from agem_tf.files.portions import Portion, portions_in, remove_portions
from agem_tf.files.rows import SelectedRows
from agem_tf.library.describing import (
    describe_part,
    describe_photos,
    photo_name,
)
from agem_tf.library.index_change import (
    IndexChange,
    add_described,
    record_described,
    still_unreadable,
)
from agem_tf.library.reduction import Reduction
from agem_tf.photos.listing import list_folder
from agem_tf.retrieval.indexes import (
    Draft,
    Origin,
    Storage,
    StoredIndex,
)

if TYPE_CHECKING:
    from agem_tf.extraction.photo_files import FileExtractor

photo_files = cli.lazy("agem_tf.extraction.photo_files")
photo_models = cli.lazy("agem_tf.library.photo_models")


def index_photos(
    storage: Storage,
    photos: str,
    *,
    factory: str = "exact",
    workdir: str | None = None,
    preset: str | None = None,
    scales: Sequence[float] | None = None,
    image_size: int | None = None,
    whitening: str | None = None,
    dimension: int | None = None,
    shards: str | None = None,
) -> IndexChange:
    """Makes an index of the photos of a folder.

    Unreadable photos are left out and listed in the index.

    Args:
        storage: where the index is made, or replaced.
        photos: folder of the photos.
        factory: kind of the index: "exact", a FAISS factory string, or a kind
            of Milvus.
        workdir: run whose best model extracts the descriptors, if any.
        preset: preset in place of a run; see `presets.read_preset`.
        scales: scales of the photos; by default those of the model's recipe.
        image_size: pixels of the longer side; by default as in the recipe.
        whitening: directory of a whitening to apply.
        dimension: dimension to keep, by the whitening or by a PCA.
        shards: directory that `describe_portion` wrote to; what is there is not
            described again, and is removed at the end.

    Raises:
        UserError: the folder holds no photo that can be read, or the model,
            the whitening, the kind of index or a shard does not fit.
    """
    change = IndexChange()
    paths = list_folder(photos, change.others)
    model = photo_models.model_for_photos(workdir, scales, image_size, preset)
    reduction = Reduction.load(whitening, dimension)
    storage.check(
        factory, reduction.check(model.dimension, len(paths)), len(paths)
    )
    final = model
    if reduction.whitening is not None:
        final = model.whitened(reduction.whitening, dimension)
    learns_pca = reduction.whitening is None and dimension is not None
    root = os.path.abspath(os.path.expanduser(photos))
    with storage.workspace() as workspace, storage.created() as draft:
        # First, so that a model of another index in its place is found before
        # a million photos are read. A PCA is known only afterwards.
        if not learns_pca:
            photo_models.save_model_once(final, draft.model)
        portions = portions_in(pathlib.Path(shards)) if shards else []
        described = describe_photos(
            model.extractor(), paths, root, workspace, portions
        )
        if not described.states:
            raise UserError("None of the photos can be read; repair them.")
        extracted, learned = reduction.apply(described.photos, draft.scratch)
        if learns_pca:
            final = model.whitened(learned, dimension)
            photo_models.save_model_once(final, draft.model)
        origin = Origin(extracted.provenance, root, draft.model, learned)
        # First, so that Milvus gets photos and states in one message.
        record_described(draft, described, root, change)
        _fill(draft, factory, extracted, origin, change)
    remove_portions(portions)
    return change


def describe_portion(
    photos: str,
    shards: str,
    portion: Portion,
    *,
    workdir: str | None = None,
    preset: str | None = None,
    scales: Sequence[float] | None = None,
    image_size: int | None = None,
) -> IndexChange:
    """Extracts descriptors of a portion of a folder, for `index_photos`.

    On processors of one kind they are the same, bit by bit, as if one process
    described all photos.

    Args:
        photos: folder of the photos.
        shards: directory that all portions are written to.
        portion: the portion.
        workdir, preset, scales, image_size: see `index_photos`.

    Returns:
        A change with the photos of the portion.

    Raises:
        UserError: the folder holds no photo, the model does not fit, or another
            process works on the portion.
    """
    paths = list_folder(photos)
    first, end = portion.borders(len(paths), photo_files.BATCH)
    root = os.path.abspath(os.path.expanduser(photos))
    with portion.workspace(pathlib.Path(shards)) as workspace:
        model = photo_models.model_for_photos(
            workdir, scales, image_size, preset
        )
        count, unreadable = describe_part(
            model.extractor(), paths[first:end], root, workspace, first
        )
    change = IndexChange(added=count, total=count)
    change.skip(unreadable)
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
        model = photo_models.model_of_descriptors(
            workdir, extracted, descriptors
        )
    change = IndexChange()
    with storage.workspace(), storage.created() as draft:
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
    storage: Storage,
    photos: str,
    *,
    paths: Sequence[str] | None = None,
    extractor: FileExtractor | None = None,
) -> IndexChange:
    """Adds the photos of a folder that the index does not hold.

    Unreadable photos are left out and listed in the index.

    Args:
        storage: where the index is.
        photos: the index's own folder or another one.
        paths: paths of the photos in it to add; by default all.
        extractor: extracts the descriptors, if the model of the index is
            loaded already.

    Raises:
        UserError: the index has no model or another one, the folder holds no
            photo that can be read, or it seems to be the folder of the index,
            moved.
    """
    change, stored = IndexChange(), storage.open()
    if paths is None:
        paths = list_folder(photos, change.others)
    root = _root_for_additions(stored, photos, paths)
    known = stored.index.known([photo_name(path, root) for path in paths])
    change.present = len(known)
    new = []
    for path in paths:
        name = photo_name(path, root)
        if name in known:
            continue
        if reason := still_unreadable(stored, name, path):
            change.skip({path: reason})
        else:
            new.append(path)
    if not new:
        change.count(stored.index)
        return change
    extractor = extractor or photo_models.extractor_of(stored)
    with storage.workspace() as workspace:
        described = describe_photos(extractor, new, root, workspace)
        if not (described.states or known):
            raise UserError("None of the photos can be read; repair them.")
        with storage.changed() as stored:
            change.added = add_described(stored, described)
            record_described(stored, described, root, change)
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
        names: names of photos as a search prints them, folders, or patterns
            such as "beach/*.png".

    Raises:
        UserError: no photo of the index is meant, or none would be left.
    """
    with storage.changed() as stored:
        gone = _matching(stored, names)
        stored.index.remove(gone)
        stored.metadata.forget(gone)
        change = IndexChange(removed=len(gone))
        change.count(stored.index)
    return change


def _root_for_additions(
    stored: StoredIndex, photos: str, paths: Sequence[str]
) -> str | None:
    """Returns the folder that the names of added photos are relative to.

    Raises:
        UserError: the folder of the index is gone, and `photos` seems to be
            the same folder in another place.
    """
    root = stored.origin.photos
    folder = os.path.abspath(os.path.expanduser(photos))
    if root is None:
        return None
    if os.path.isdir(root):
        return folder if os.path.samefile(root, folder) else root
    known = stored.index.known([photo_name(path, folder) for path in paths])
    if known:
        raise UserError(
            f"The photos of the index were in {root}, which is not there, and "
            f"{photos} has {len(known)} of their names; if the folder has "
            f"moved, give --sync --photos={photos}."
        )
    return root


def _matching(stored: StoredIndex, patterns: Sequence[str]) -> set[str]:
    """Returns the photos that names, folders and patterns mean."""
    found = stored.index.known(patterns)
    rest = set(patterns) - found
    names = stored.index.names() if rest else []
    for pattern in rest:
        folder = pattern.rstrip("/") + "/"
        matching = {
            name
            for name in names
            if name.startswith(folder) or fnmatch.fnmatchcase(name, pattern)
        }
        if not matching:
            raise UserError(
                f"The index has no photo {pattern!r}; give names as the search "
                "prints them, folders, or patterns such as 'beach/*.png'."
            )
        found |= matching
    return found


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
