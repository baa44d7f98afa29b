"""The pickles of retrieval-SfM, read without trusting them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from agem_tf.errors import UserError
from agem_tf.files import safe_pickle

# That of 120k photos and 180k pairs has about 10 MB.
MAX_BYTES = 64 * 2**20
_CID = re.compile(r"\w{6,}")


@dataclass(frozen=True, eq=False)
class SfmPart:
    """One split of a pickle.

    Attributes:
        cids: (photos,) names.
        clusters: (photos,) int64 3-D model of each, or None.
        pairs: (pairs, 2) int64 indices of a query and its positive.
    """

    cids: list[str]
    clusters: np.ndarray | None
    pairs: np.ndarray


def read_parts(path: str, names: Sequence[str] = ()) -> dict[str, SfmPart]:
    """Reads a pickle of {name: part}, or of one part, which is named "".

    Args:
        path: of the pickle.
        names: of the parts.

    Raises:
        UserError: the file is too large or of another form, or does more than
            hold values, as only a hostile pickle would.
    """
    try:
        content = safe_pickle.loads(_read(path))
        if not names:
            return {"": _part(content)}
        return {name: _part(_get(content, name)) for name in names}
    except UserError as error:
        raise UserError(
            f"{path}: {error} Download the published file."
        ) from error


def _read(path: str) -> bytes:
    with tf.io.gfile.GFile(path, "rb") as file:
        if file.size() > MAX_BYTES:
            raise UserError(
                f"it has {file.size():,} bytes, the published one fewer than "
                f"{MAX_BYTES:,}."
            )
        return file.read()


def _part(content: Any) -> SfmPart:
    cids = _get(content, "cids")
    if not isinstance(cids, list) or not all(map(_is_cid, cids)):
        raise UserError("'cids' is no list of photo names.")
    clusters = None
    if "cluster" in content:
        clusters = _integers(content, "cluster", None)
        if len(clusters) != len(cids):
            raise UserError(
                f"it has {len(cids)} photos, but {len(clusters)} clusters."
            )
    queries = _integers(content, "qidxs", len(cids))
    positives = _integers(content, "pidxs", len(cids))
    if len(queries) != len(positives):
        raise UserError(
            f"it has {len(queries)} queries, but {len(positives)} positives."
        )
    return SfmPart(cids, clusters, np.stack([queries, positives], axis=1))


def _is_cid(value: Any) -> bool:
    return isinstance(value, str) and _CID.fullmatch(value) is not None


def _get(content: Any, key: str) -> Any:
    if not isinstance(content, Mapping) or key not in content:
        raise UserError(f"it has no {key!r}.")
    return content[key]


def _integers(content: Any, key: str, limit: int | None) -> np.ndarray:
    values = _get(content, key)
    if isinstance(values, np.ndarray):
        values = values.ravel().tolist()
    # Items first: NumPy would unfold lists that share their items.
    whole = isinstance(values, list) and all(
        isinstance(value, int | np.integer) for value in values
    )
    if not whole:
        raise UserError(f"{key!r} is no list of integers.")
    if any(value < 0 or value >= (limit or 2**62) for value in values):
        raise UserError(f"{key!r} holds a number that is out of range.")
    return np.array(values, np.int64)
