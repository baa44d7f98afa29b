"""Searches an index by photos."""

from collections.abc import Sequence

from agem_tf.files.provenance import check_same_provenance
from agem_tf.library.answers import Answer, Box
from agem_tf.library.describer import Describer
from agem_tf.photos import encoding
from agem_tf.photos.boxes import check_box
from agem_tf.retrieval.indexes import StoredIndex


def by_photos(
    stored: StoredIndex,
    paths: Sequence[str],
    top: int | None = None,
    box: Box | None = None,
) -> list[Answer]:
    """Searches by photos.

    Args:
        stored: the index.
        paths: of the photos.
        top: photos found for each; see `DescriptorIndex.search`.
        box: x1, y1, x2, y2 in pixels of the only photo as seen, cut out.

    Raises:
        UserError: a photo can't be read, the box is not inside it, the index
            has no model or another one, or `top` exceeds the index.
    """
    queries = [
        encoding.read_encoded_photo(path, remedy="give another one")
        for path in paths
    ]
    if box is not None:
        size = queries[0].width, queries[0].height
        check_box(box, size, paths[0], "correct --box=x1,y1,x2,y2")
    describer = Describer(stored.model)
    check_same_provenance(
        describer.provenance,
        stored.origin.provenance,
        f"The model {stored.model}",
        stored.place,
    )
    described = describer.describe(
        [query.encoded for query in queries], box and [box]
    )
    return [
        Answer(path, matches, box)
        for path, matches in zip(
            paths, stored.index.search(described, top), strict=True
        )
    ]
