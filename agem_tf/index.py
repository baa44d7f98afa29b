"""Make an index of photos, add photos to it, or remove some from it.

    python -m agem_tf.index --photos=photos --index=photos.index
    python -m agem_tf.index --photos=more --index=photos.index --add
    python -m agem_tf.index --remove=beach/1.jpg --index=photos.index

The folder may have any structure, and no training is needed:
EfficientNet-lite2 with ImageNet weights extracts the descriptors, or the best
model of a --workdir. --index=milvus:photos.db uses Milvus Lite,
--index=milvus:http://host:19530 a server. A descriptor set can be indexed
instead of photos (--descriptors).
"""

from __future__ import annotations

from agem_tf import cli
from agem_tf.config.shared_options import ScaleOptions
from agem_tf.errors import UserError

indexing = cli.lazy("agem_tf.library.indexing")
storages = cli.lazy("agem_tf.retrieval.indexes")

_INDEX = "Directory of the index, or milvus:ADDRESS."
_PHOTOS = "Folder of the photos."
_DESCRIPTORS = "Descriptor set to index instead of photos."
_SKIP_BAD = "Leave out photos that can't be read."
_MODEL = "For Milvus: directory of the SavedModel."


@cli.options
class IndexOptions(ScaleOptions):
    """Options for making an index."""

    index: str = cli.required(_INDEX)
    photos: str | None = cli.option(None, _PHOTOS)
    descriptors: str | None = cli.option(None, _DESCRIPTORS)
    overwrite: bool = cli.option(False, "Replace an existing index.")
    skip_bad: bool = cli.option(False, _SKIP_BAD)
    factory: str = cli.option(
        "exact", "Kind of index: exact, or FAISS's HNSW32, IVF256,SQ8, ..."
    )
    workdir: str | None = cli.option(
        None, "Training run whose best model extracts the descriptors."
    )
    whitening: str | None = cli.option(None, "Whitening to apply.")
    dimension: int | None = cli.option(
        None, "Dimensions to keep, by the whitening or by a PCA.", minimum=1
    )
    model: str | None = cli.option(None, _MODEL)

    def __post_init__(self) -> None:
        _check_source(self, "--photos=DIR, --descriptors=DIR and --remove=NAME")


@cli.options
class AddOptions:
    """Add the photos or descriptors that the index lacks."""

    index: str = cli.required(_INDEX)
    photos: str | None = cli.option(None, _PHOTOS)
    descriptors: str | None = cli.option(None, _DESCRIPTORS)
    skip_bad: bool = cli.option(False, _SKIP_BAD)
    model: str | None = cli.option(None, _MODEL)

    def __post_init__(self) -> None:
        _check_source(self, "--photos=DIR and --descriptors=DIR")


@cli.options
class RemoveOptions:
    """Remove photos from the index."""

    index: str = cli.required(_INDEX)
    remove: tuple[str, ...] = cli.required(
        "Photo to remove, named as searches print it."
    )
    model: str | None = cli.option(None, _MODEL)


def main(
    options: IndexOptions | AddOptions | RemoveOptions,
) -> indexing.IndexChange:
    """Makes or changes an index, and prints how many photos changed.

    Raises:
        UserError: options do not go together, or what is indexed is at fault.
    """
    storage = storages.storage_at(options.index, options.model)
    if isinstance(options, RemoveOptions):
        change = indexing.remove_photos(storage, options.remove)
    elif isinstance(options, AddOptions):
        change = _add(storage, options)
    else:
        change = _create(storage, options)
    cli.print_line(change.summary())
    cli.print_line(f"Index: {options.index}")
    return change


def _add(
    storage: storages.Storage, options: AddOptions
) -> indexing.IndexChange:
    if options.descriptors:
        return indexing.add_descriptors(storage, options.descriptors)
    return indexing.add_photos(
        storage, options.photos, skip_bad=options.skip_bad
    )


def _create(
    storage: storages.Storage, options: IndexOptions
) -> indexing.IndexChange:
    if storage.exists and not options.overwrite:
        raise UserError(
            f"There is an index at {options.index}; --add adds to it, "
            "--overwrite replaces it."
        )
    made = {
        "factory": options.factory,
        "workdir": options.workdir,
        "whitening": options.whitening,
        "dimension": options.dimension,
    }
    if options.descriptors:
        return indexing.index_descriptors(storage, options.descriptors, **made)
    return indexing.index_photos(
        storage,
        options.photos,
        scales=options.scales,
        image_size=options.image_size,
        skip_bad=options.skip_bad,
        **made,
    )


def _check_source(options: IndexOptions | AddOptions, sources: str) -> None:
    """Checks that there are either photos or descriptors to index."""
    if bool(options.photos) == bool(options.descriptors):
        raise UserError(f"Give one of {sources}.")
    for name in ("scales", "image_size", "skip_bad"):
        if options.descriptors and getattr(options, name, None):
            raise UserError(f"--{name} is for --photos; leave it out.")


if __name__ == "__main__":
    cli.run(main, IndexOptions, add=AddOptions, remove=RemoveOptions)
