"""Makes photos searchable, adds some or removes some.

    python -m agem_tf.index --photos=photos --index=photos.index
    python -m agem_tf.index --photos=more --index=photos.index --add
    python -m agem_tf.index --remove=beach/1.jpg --index=photos.index

The folder may be of any form and needs no training: EfficientNet-lite2 with
ImageNet weights describes the photos, or the best model of a --workdir.
--index=milvus:photos.db takes Milvus Lite, --index=milvus:http://host:19530 a
server. Extracted --descriptors can be indexed instead of photos.
"""

from __future__ import annotations

from agem_tf import cli

changes = cli.lazy("agem_tf.library.change")
indexing = cli.lazy("agem_tf.library.indexing")
requests = cli.lazy("agem_tf.library.request")


@cli.options
class Options:
    """Options of making or changing an index."""

    index: str = cli.required("Directory of the index, or milvus:ADDRESS.")
    photos: str | None = cli.option(None, "Folder of the photos.")
    descriptors: str | None = cli.option(
        None, "Descriptor set to index instead of photos."
    )
    remove: tuple[str, ...] = cli.option(
        (), "Photo to remove, named as searches print it."
    )
    add: bool = cli.option(False, "Add to the index what it does not hold.")
    overwrite: bool = cli.option(False, "Replace an existing index.")
    skip_bad: bool = cli.option(False, "Leave out photos that can't be read.")
    factory: str | None = cli.option(
        None, "exact (default), or of FAISS: HNSW32, IVF256,SQ8, ..."
    )
    workdir: str | None = cli.option(
        None, "Training run whose best model extracts the descriptors."
    )
    whitening: str | None = cli.option(None, "Whitening to apply.")
    dimension: int | None = cli.option(
        None, "Dimensions to keep, by the whitening or by a PCA."
    )
    scales: tuple[float, ...] | None = cli.option(
        None, "Scales of the photo, as in 1,0.7071,0.5."
    )
    image_size: int | None = cli.option(
        None, "Longer side of the photo in pixels."
    )
    model: str | None = cli.option(
        None, "For Milvus: directory of the SavedModel."
    )


def main(options: Options) -> changes.Change:
    """Makes or changes an index.

    Raises:
        UserError: flags do not go together, or what is indexed is at fault.
    """
    request = requests.IndexRequest(**vars(options))
    storage = request.storage()
    if request.remove:
        change = changes.remove_photos(storage, request.remove)
    else:
        if request.photos:
            work = indexing.add_photos if request.add else indexing.index_photos
        elif request.add:
            work = indexing.add_descriptors
        else:
            work = indexing.index_descriptors
        change = work(storage, request)
    cli.print_line(change.describe())
    cli.print_line(f"Index: {options.index}")
    return change


if __name__ == "__main__":
    cli.run(main, Options)
