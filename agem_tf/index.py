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

from typing import Any

from absl import app

from agem_tf import cli

changes = cli.lazy("agem_tf.library.change")
indexing = cli.lazy("agem_tf.library.indexing")
requests = cli.lazy("agem_tf.library.request")

_FLAGS = cli.Flags()
_INDEX = _FLAGS.string(
    "index", None, "Directory of the index, or milvus:ADDRESS.", required=True
)
_FLAGS.string("photos", None, "Folder of the photos.")
_FLAGS.string("descriptors", None, "Descriptor set to index instead.")
_FLAGS.multi_string("remove", [], "Photo to remove, named as searches print it")
_FLAGS.bool("add", False, "Add to the index what it has not.")
_FLAGS.bool("overwrite", False, "Replace an index that is there.")
_FLAGS.bool("skip_bad", False, "Leave out photos that can't be read.")
_FLAGS.string(
    "factory", None, "exact (default), or of FAISS: HNSW32, IVF256,SQ8, ..."
)
_FLAGS.string("workdir", None, "Training run whose model describes photos.")
_FLAGS.string("whitening", None, "Whitening to apply.")
_FLAGS.integer("dimension", None, "To keep, by the whitening or by a PCA.")
_FLAGS.numbers("scales", "Such as 1,0.7071,0.5.")
_FLAGS.integer("image_size", None, "Longer side, pixels.")
_FLAGS.string("model", None, "For Milvus: directory of the SavedModel.")


def main(index: str, **settings: Any) -> changes.Change:
    """Makes or changes an index.

    Args:
        index: a directory, or "milvus:ADDRESS".
        **settings: see the flags and `photo_search.request.IndexRequest`.

    Raises:
        UserError: flags do not go together, or what is indexed is at fault.
    """
    request = requests.IndexRequest(index, **settings)
    storage = request.storage()
    if request.remove:
        return changes.remove_photos(storage, request.remove)
    if request.photos:
        work = indexing.add_photos if request.add else indexing.index_photos
    elif request.add:
        work = indexing.add_descriptors
    else:
        work = indexing.index_descriptors
    return work(storage, request)


def _run() -> None:
    print(main(**_FLAGS.flag_values_dict()).describe())
    print(f"Index: {_INDEX.value}")


if __name__ == "__main__":
    app.run(cli.command(_run), flags_parser=_FLAGS.parse)
