"""Which photos of a prepared dataset can no longer be read.

Copies get truncated and disks go bad. Without the lost photos a dataset is a
smaller one, so they are found before anything is computed from the others.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from absl import logging

from agem_tf.datasets.records import RecordStore
from agem_tf.errors import UserError
from agem_tf.progress import Progress

_THREADS = 8
_SHOWN = 5


def unreadable(
    name: str, files: np.ndarray, offsets: np.ndarray, store: RecordStore
) -> np.ndarray:
    """Reads every record of a split, and logs which ones fail.

    Args:
        name: of the split.
        files: (photos,) which file of the store holds the record.
        offsets: (photos,) at which byte.
        store: of the records.

    Returns:
        (photos,) bool.
    """
    faults = list(_faults(name, files, offsets, store))
    messages = [fault for fault in faults if fault]
    for message in messages[:_SHOWN]:
        logging.warning("Split %s: %s", name, message)
    if len(messages) > _SHOWN:
        logging.warning("... and %d more", len(messages) - _SHOWN)
    return np.array([bool(fault) for fault in faults], bool)


def _faults(
    name: str, files: np.ndarray, offsets: np.ndarray, store: RecordStore
) -> Iterator[str]:
    """Yields a sentence for each record, empty for those that are whole."""

    def fault(file: int, offset: int) -> str:
        try:
            store.read(file, offset)
        except UserError as error:
            return str(error)
        return ""

    with (
        ThreadPoolExecutor(_THREADS) as threads,
        Progress(f"Checking records of {name}", len(files)) as progress,
    ):
        for sentence in threads.map(fault, files.tolist(), offsets.tolist()):
            progress.update(1)
            yield sentence
