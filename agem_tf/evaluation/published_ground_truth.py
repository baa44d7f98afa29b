"""Ground truths as the benchmarks publish them: .pkl, and its .mat twin.

Old and revisited Oxford and Paris, and INSTRE, share one form.
"""

import hashlib
import io
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.files import safe_pickle

# The revisited files have 0.3 MB, INSTRE's about 2 MB.
MAX_BYTES = 8 * 2**20

# Of http://cmp.felk.cvut.cz/revisitop/data/datasets/
_SHA256 = {
    "gnd_roxford5k.pkl": (
        "ba7967754bd2d7d2210a5799f9c45ad5835e269a80ef9d3eba44caa35816c471"
    ),
    "gnd_rparis6k.pkl": (
        "d2e729a5293dda7dda8a15c8383424a42e4964a2c4cfea2f32fa85d11d2df499"
    ),
}
_SETS = ("easy", "hard", "ok", "junk")


def load_published(path: str | os.PathLike) -> GroundTruth:
    """Reads the file of a benchmark.

    It holds "imlist", "qimlist" and, per query, "bbx" with either "easy",
    "hard" and "junk" or, in the old protocol, "ok" and "junk"; "ok" photos
    become easy ones. INSTRE has no "junk". The .mat files count from 1, and
    those of the old protocol give "qidx" instead of "qimlist"; boxes are
    pixels from 0 in both.

    Args:
        path: ends in .pkl or .mat. A file of a known name but another content
            than the published one is read with a warning.

    Raises:
        UserError: the file is missing, of another form, or does more than hold
            values, as only a hostile pickle would.
    """
    path = Path(path)
    readers = {".pkl": safe_pickle.loads, ".mat": _loads_matlab}
    if path.suffix not in readers:
        raise UserError(
            f"{path} must end in {' or '.join(readers)}; JSON is read by "
            "GroundTruth.load."
        )
    content = _read(path)
    _check_known(path, content)
    try:
        return _ground_truth(readers[path.suffix](content))
    except UserError as error:
        raise UserError(
            f"{path}: {error} Download the benchmark's own file."
        ) from error


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UserError(
                f"{path} has {size:,} bytes, a ground truth at most "
                f"{MAX_BYTES:,}; give the benchmark's own file."
            )
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror}; give the file of the "
            "ground truth."
        ) from error


def _check_known(path: Path, content: bytes) -> None:
    expected = _SHA256.get(path.name)
    if expected not in (None, hashlib.sha256(content).hexdigest()):
        warnings.warn(
            f"{path} is not the published file; its scores may not be "
            "comparable.",
            stacklevel=3,
        )


def _loads_matlab(content: bytes) -> dict[str, Any]:
    """Reads .mat bytes into the form of the .pkl files."""
    try:
        values = scipy.io.loadmat(io.BytesIO(content), simplify_cells=True)
    # A damaged file raises errors of NumPy, zlib and SciPy alike.
    except Exception as error:
        raise UserError(f"not a readable .mat file: {error}.") from error
    # SciPy simplifies a list of one to its item.
    lists = {
        name: np.atleast_1d(values[name])
        for name in ("imlist", "qimlist", "qidx", "gnd")
        if name in values
    }
    if "qidx" in lists and "imlist" in lists:
        lists["qimlist"] = _at(lists["imlist"], _minus_1(lists["qidx"]))
    entries = _flat(lists.get("gnd", []), Mapping, "gnd")
    return lists | {"gnd": [_entry_from_0(entry) for entry in entries]}


def _entry_from_0(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _minus_1(value) if key in _SETS else value
        for key, value in entry.items()
    }


def _at(names: np.ndarray, indices: np.ndarray) -> np.ndarray:
    if np.any((indices < 0) | (indices >= len(names))):
        raise UserError("'qidx' is outside 'imlist'.")
    return names[indices]


def _minus_1(values: Any) -> np.ndarray:
    """MATLAB's indices, which are doubles, as Python's."""
    indices = np.atleast_1d(values)
    if indices.dtype.kind not in "fiu" or np.any(indices % 1 != 0):
        raise UserError("an index is not a whole number.")
    return indices.astype(np.int64) - 1


def _ground_truth(content: Any) -> GroundTruth:
    if not isinstance(content, Mapping):
        raise UserError("it holds no dictionary.")
    names, queries, entries = (
        _flat(_get(content, key), kind, key)
        for key, kind in (("imlist", str), ("qimlist", str), ("gnd", Mapping))
    )
    return GroundTruth(names, queries, [_query(entry) for entry in entries])


def _query(entry: Mapping[str, Any]) -> QueryTruth:
    found = {
        name: _flat(entry[name], int, name) for name in _SETS if name in entry
    }
    box = entry.get("bbx")
    return QueryTruth(
        found["ok"] if "ok" in found else _get(found, "easy"),
        [] if "ok" in found else _get(found, "hard"),
        found.get("junk", []),
        None if box is None else tuple(_flat(box, int | float, "bbx")),
    )


def _get(content: Mapping[str, Any], key: str) -> Any:
    if key not in content:
        raise UserError(f"it has no {key!r}.")
    return content[key]


def _flat(values: Any, kind: Any, name: str) -> list:
    """A list of `kind`, or a UserError.

    Nothing is unfolded: nested lists that share their items can have more of
    them than any memory holds.
    """
    if isinstance(values, np.ndarray):
        values = values.ravel().tolist()
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise UserError(f"{name!r} is no list.")
    values = [v.item() if isinstance(v, np.generic) else v for v in values]
    if not all(isinstance(value, kind) for value in values):
        raise UserError(f"{name!r} holds a value of another kind.")
    return values
