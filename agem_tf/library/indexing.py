"""Makes an index of photos or of descriptors, and adds to it.

Descriptors go to disk batch by batch, so that a million photos need no more
memory than a thousand; the index is made from there.
"""

import os
import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from agem_tf.descriptors.descriptor_set import DescriptorSet, check_finite
from agem_tf.errors import UserError
from agem_tf.files.provenance import check_same_provenance
from agem_tf.files.rows import SelectedRows, write_rows
from agem_tf.library import describing_models
from agem_tf.library.change import Change
from agem_tf.library.describer import Describer
from agem_tf.library.reduction import Reduction
from agem_tf.library.request import IndexRequest
from agem_tf.photos import listing
from agem_tf.photos.listing import check_name
from agem_tf.retrieval.indexes import Draft, Origin, Storage
from agem_tf.training.runs import Run


def index_photos(storage: Storage, request: IndexRequest) -> Change:
    """Describes the photos of a folder and makes an index of them.

    Args:
        storage: where the index is made, or replaced.
        request: with `photos`.

    Raises:
        UserError: the folder, a photo, the model or the kind is at fault.
    """
    paths = listing.list_folder(request.photos)
    run = describing_models.choose(
        request.workdir, request.scales, request.image_size
    )
    reduction = Reduction.load(request.whitening, request.dimension)
    dimension = reduction.check(run.model.dimension, len(paths))
    # A million photos are not described for what would be refused at the end.
    storage.check(request.kind, dimension, len(paths))
    describing_models.provenance(run, reduction.whitening)
    change = Change()
    root = os.path.abspath(os.path.expanduser(request.photos))
    with storage.created() as draft:
        # A PCA can only be built into the model when all is described.
        exported = draft.scratch / "model" if reduction else draft.model
        describer = Describer(describing_models.export(run, exported))
        skip = change.skip if request.skip_bad else None
        described = _describe(describer, paths, root, draft.scratch, skip)
        described, whitening = reduction.apply(described, draft.scratch)
        model = describing_models.export(
            run, draft.model, whitening, request.dimension
        )
        origin = Origin(described.provenance, root, model, whitening)
        _fill(draft, request.kind, described, origin, change)
    return change


def index_descriptors(storage: Storage, request: IndexRequest) -> Change:
    """Makes an index of descriptors that `agem_tf.extract` wrote.

    Args:
        storage: where the index is made, or replaced.
        request: with `descriptors`; with `workdir`, the index can be searched
            by photos too.

    Raises:
        UserError: the descriptors, the model or the kind is at fault.
    """
    described = DescriptorSet.load(request.descriptors, verify=True)
    count, dimension = described.descriptors.shape
    reduction = Reduction.load(request.whitening, request.dimension)
    storage.check(request.kind, reduction.check(dimension, count), count)
    run = _run_of(described, request) if request.workdir else None
    change = Change()
    with storage.created() as draft:
        described, whitening = reduction.apply(described, draft.scratch)
        model = run and describing_models.export(
            run, draft.model, whitening, request.dimension
        )
        origin = Origin(described.provenance, None, model, whitening)
        _fill(draft, request.kind, described, origin, change)
    return change


def add_photos(storage: Storage, request: IndexRequest) -> Change:
    """Describes photos as the index's are, and adds those it has not.

    Args:
        storage: where the index is.
        request: with `photos`, the index's own folder or another one.

    Raises:
        UserError: the index has no model, or the folder or a photo is at
            fault.
    """
    paths, change = listing.list_folder(request.photos), Change()
    skip = change.skip if request.skip_bad else None
    with storage.changed() as stored:
        root = stored.origin.photos
        known = stored.index.known([_name(path, root) for path in paths])
        new = [path for path in paths if _name(path, root) not in known]
        if new:
            describer = Describer(stored.model)
            described = _describe(describer, new, root, stored.scratch, skip)
            stored.index.add(described.names, described.descriptors)
            change.added = len(described.names)
        change.present = len(known)
        change.count(stored.index)
    return change


def add_descriptors(storage: Storage, request: IndexRequest) -> Change:
    """Adds those of a descriptor set whose names the index has not.

    Args:
        storage: where the index is.
        request: with `descriptors`.

    Raises:
        UserError: they were made by another model or other settings.
    """
    described = DescriptorSet.load(request.descriptors, verify=True)
    change = Change()
    with storage.changed() as stored:
        fitted = stored.fitted(described, request.descriptors)
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


def _run_of(described: DescriptorSet, request: IndexRequest) -> Run:
    """The run that made descriptors, with the settings that it had then."""
    run = describing_models.choose(request.workdir)
    run.check_made(described, request.descriptors)
    run = describing_models.with_settings_of(run, described.provenance)
    check_same_provenance(
        describing_models.provenance(run),
        described.provenance,
        request.workdir,
        request.descriptors,
    )
    return run


def _name(path: str, root: str | None) -> str:
    """What the index calls a photo."""
    return path if root is None else os.path.relpath(path, root)


def _describe(
    describer: Describer,
    paths: Sequence[str],
    root: str | None,
    scratch: pathlib.Path,
    skip: Callable[[str, UserError], None] | None,
) -> DescriptorSet:
    names: list[str] = []

    def blocks() -> Iterator[np.ndarray]:
        sound = list(_soundly_named(paths, skip))
        for batch, described in describer.describe_files(sound, skip):
            batch_names = [_name(path, root) for path in batch]
            check_finite(described, batch_names)
            names.extend(batch_names)
            yield described

    rows = write_rows(scratch / "described.npy", blocks(), describer.dimension)
    if not names:
        raise UserError("None of the photos can be read; repair them.")
    return DescriptorSet(names, rows, describer.provenance)


def _soundly_named(
    paths: Sequence[str], skip: Callable[[str, UserError], None] | None
) -> Iterator[str]:
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
    described: DescriptorSet,
    origin: Origin,
    change: Change,
) -> None:
    count, dimension = described.descriptors.shape
    index = draft.start(factory, dimension, origin)
    index.add(described.names, described.descriptors)
    change.added = count
    change.count(index)
