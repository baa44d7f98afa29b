"""Ground truths from files, or from the names of the photos.

Old and revisited Oxford and Paris, and INSTRE, publish a .pkl or .mat of one
form; Google Landmarks v2 and own photos have CSV files.
"""

import hashlib
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.evaluation.protocols import PROTOCOLS
from agem_tf.evaluation.protocols.oxford import LeaveOneOutProtocol
from agem_tf.files.csv_tables import csv_header
from agem_tf.files.locations import read_file
from agem_tf.files.matlab_files import read_matlab
from agem_tf.files.pickles import read_pickle

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


def load_ground_truth(path: str | os.PathLike) -> GroundTruth | None:
    """Reads a ground truth that needs no names of database photos.

    Args:
        path: a benchmark's .pkl or .mat, or a .json as `GroundTruth.save`
            writes it.

    Returns:
        None for a .csv file, which `derive_ground_truth` reads.

    Raises:
        UserError: the file is missing or of another form.
    """
    suffix = Path(path).suffix
    if suffix == ".csv":
        return None
    return GroundTruth.load(path) if suffix == ".json" else load_published(path)


def derive_ground_truth(
    names: Sequence[str],
    protocol: str | None,
    path: str | os.PathLike | None = None,
    labels: str | os.PathLike | None = None,
) -> tuple[GroundTruth, str]:
    """Makes a ground truth for photos of these names.

    Args:
        names: names of the database photos.
        protocol: without a CSV, the protocol whose file names are used.
        path: CSV file of Google Landmarks v2 or of own photos; its columns
            choose the protocol.
        labels: CSV file of the landmarks of the index of Google Landmarks v2,
            for its recognition solution.

    Returns:
        The ground truth, and the name of the protocol that it is made for.

    Raises:
        UserError: neither the names nor the files say what a query should
            find.
    """
    if path is not None:
        columns = tuple(csv_header(path))[:2]
        made_for = next(
            (
                name
                for name, each in PROTOCOLS.items()
                if each.csv_columns == columns
            ),
            LeaveOneOutProtocol.name,
        )
        return PROTOCOLS[made_for].read_csv(path, names, labels), made_for
    from_names = [n for n, each in PROTOCOLS.items() if each.names_imply_truth]
    if protocol not in from_names:
        raise UserError(
            "There is no ground truth; give --data_dir or --ground_truth, or a "
            f"--protocol whose file names imply it: {', '.join(from_names)}."
        )
    return PROTOCOLS[protocol].truth_from_names(names), protocol


def load_published(path: str | os.PathLike) -> GroundTruth:
    """Reads the .pkl or .mat file of a benchmark.

    It holds "imlist", "qimlist" and, per query, "bbx" with either "easy",
    "hard" and "junk" or, in the old protocol, "ok" and "junk"; "ok" photos
    become easy ones. INSTRE has no "junk". The .mat files count from 1, and
    those of the old protocol have "qidx" instead of "qimlist"; boxes are
    pixels from 0 in both.

    Args:
        path: file name that ends in .pkl or .mat. A file of a published name
            whose SHA-256 differs is read with a warning.

    Raises:
        UserError: the file is missing, of another form, or a pickle that
            would run code.
    """
    path = Path(path)
    readers = {".pkl": read_pickle, ".mat": _loads_matlab}
    if path.suffix not in readers:
        raise UserError(
            f"{path} must end in {' or '.join(readers)}; JSON is read by "
            "GroundTruth.load."
        )
    content = _read_small(path)
    expected = _SHA256.get(path.name)
    if expected not in (None, hashlib.sha256(content).hexdigest()):
        warnings.warn(
            f"{path} is not the published file; its scores may not be "
            "comparable.",
            stacklevel=2,
        )
    try:
        return _ground_truth(readers[path.suffix](content))
    except UserError as error:
        raise UserError(
            f"{path}: {error} Download the benchmark's own file."
        ) from error


def _read_small(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UserError(
                f"{path} has {size:,} bytes, a ground truth at most "
                f"{MAX_BYTES:,}; give the benchmark's own file."
            )
        return read_file(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror}; give the file of the "
            "ground truth."
        ) from error


def _loads_matlab(content: bytes) -> dict[str, Any]:
    """Reads .mat bytes into the dictionary that a .pkl file holds."""
    values = read_matlab(content)
    # A list of one is its item.
    lists = {
        name: _listed(values[name])
        for name in ("imlist", "qimlist", "qidx", "gnd")
        if name in values
    }
    if "qidx" in lists and "imlist" in lists:
        queries = _minus_1(lists["qidx"])
        if np.any((queries < 0) | (queries >= len(lists["imlist"]))):
            raise UserError("'qidx' is outside 'imlist'.")
        lists["qimlist"] = [lists["imlist"][i] for i in queries]
    entries = _flat(lists.get("gnd", []), Mapping, "gnd")
    from_0 = [
        {
            key: _minus_1(value) if key in _SETS else value
            for key, value in entry.items()
        }
        for entry in entries
    ]
    return lists | {"gnd": from_0}


def _listed(value: Any) -> list | np.ndarray:
    return value if isinstance(value, list | np.ndarray) else [value]


def _minus_1(values: Any) -> np.ndarray:
    """Converts MATLAB's indices, doubles from 1, to integers from 0."""
    if isinstance(values, list) and len(values) == 1:
        values = values[0]
    if isinstance(values, list | dict):
        raise UserError("an index is not a whole number.")
    indices = np.atleast_1d(values)
    if indices.dtype.kind not in "fiu" or np.any(indices % 1 != 0):
        raise UserError("an index is not a whole number.")
    return indices.astype(np.int64) - 1


def _ground_truth(content: Any) -> GroundTruth:
    if not isinstance(content, Mapping):
        raise UserError("it does not hold a dictionary.")
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
    """Returns a list of values of one kind, or raises a UserError.

    Nested lists are not flattened: lists that share their items can have more
    items than any memory holds.
    """
    if isinstance(values, np.ndarray):
        values = values.ravel().tolist()
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise UserError(f"{name!r} is not a list.")
    values = [v.item() if isinstance(v, np.generic) else v for v in values]
    if not all(isinstance(value, kind) for value in values):
        raise UserError(f"{name!r} holds a value of another kind.")
    return values
