"""Finds the photos of an index that resemble a photo.

    python -m agem_tf.search photo.jpg --index=photos.index
    python -m agem_tf.search a.jpg b.jpg --index=photos.index --output=page.html

--box=x1,y1,x2,y2 searches for what is inside a box, in pixels of the photo as
seen. --descriptors searches by an extracted set instead of photos.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import app

from agem_tf import cli
from agem_tf.config import loading
from agem_tf.errors import UserError

answers = cli.lazy("agem_tf.library.answers")
photo_queries = cli.lazy("agem_tf.library.photo_queries")
storages = cli.lazy("agem_tf.retrieval.indexes")

_FLAGS = cli.Flags()
_FLAGS.string(
    "index", None, "Directory of the index, or milvus:ADDRESS.", required=True
)
_FLAGS.string("descriptors", None, "Descriptor set to search by.")
_FLAGS.integer("top", None, "Photos found for each query; default: 10.")
_FLAGS.numbers("box", "x1,y1,x2,y2 in pixels: what to search for.")
_OUTPUT = _FLAGS.string("output", None, "Path of an HTML page to write.")
_FLAGS.string("folder", None, "For --output: photos, if they have moved.")
_FLAGS.multi_string("parameter", [], "Of FAISS or Milvus, such as nprobe=32")
_FLAGS.string("model", None, "For Milvus: SavedModel, if it has moved.")


def main(
    photos: Sequence[str],
    index: str,
    descriptors: str | None = None,
    top: int | None = None,
    box: Sequence[float] | None = None,
    output: str | None = None,
    folder: str | None = None,
    parameter: Sequence[str] = (),
    model: str | None = None,
) -> list[answers.Answer]:
    """Searches an index; see the flags of the same names.

    Args:
        photos: paths of photos, or none with `descriptors`.

    Raises:
        UserError: flags do not go together, or the index, a query or a
            parameter is at fault.
    """
    if bool(photos) == bool(descriptors):
        raise UserError("Give photos to search by, or --descriptors=DIR.")
    if box is not None and (len(photos) != 1 or len(box) != 4):
        raise UserError("--box takes x1,y1,x2,y2 of exactly one photo.")
    stored = storages.find(index, model).open()
    stored.index.tune(loading.parse_options(parameter))
    top = stored.index.num_found(top)
    if descriptors:
        found = answers.by_descriptors(stored, descriptors, top)
    else:
        found = photo_queries.by_photos(stored, photos, top, box)
    if output is not None:
        answers.save_page(output, found, folder or stored.origin.photos)
    return found


def _run(*photos: str) -> None:
    for answer in main(photos, **_FLAGS.flag_values_dict()):
        print(answer.describe())
    if _OUTPUT.value is not None:
        print(f"Page: {_OUTPUT.value}")


if __name__ == "__main__":
    app.run(cli.command(_run), flags_parser=_FLAGS.parse_around)
