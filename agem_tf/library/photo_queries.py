"""Searches an index by photos."""

from collections.abc import Sequence

from agem_tf.errors import UserError
from agem_tf.files.provenance import check_same_provenance
from agem_tf.library.answers import Answer, Box
from agem_tf.library.describer import Describer
from agem_tf.photos import reading
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
    queries = [_read(path) for path in paths]
    if box is not None:
        _check_box(box, paths[0], queries[0])
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


def _read(path: str) -> reading.EncodedPhoto:
    try:
        return reading.read(path)
    except UserError as error:
        # Its advice is that of a command which reads many photos.
        reason = error.__cause__ or "its size is out of bounds"
        raise UserError(
            f"{path} is not a readable photo ({reason}); give another one."
        ) from error


def _check_box(box: Box, path: str, photo: reading.EncodedPhoto) -> None:
    x1, y1, x2, y2 = box
    if not (0 <= x1 < x2 <= photo.width and 0 <= y1 < y2 <= photo.height):
        raise UserError(
            f"The box {box} is not inside the {photo.width} x {photo.height} "
            f"pixels of {path}; correct --box=x1,y1,x2,y2."
        )
