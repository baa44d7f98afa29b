"""FAISS indexes, chosen by a factory string: HNSW32, "IVF1024,SQ8", ...

For collections for which exact search is too slow or needs too much memory.
FAISS must only read files from a trusted source, and they have no checksum;
the manifest of the index directory has one.

Reference: https://github.com/facebookresearch/faiss/wiki/The-index-factory
"""

import contextlib
import itertools
import logging
import math
import operator
import pathlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np

from agem_tf import native_output
from agem_tf.errors import UserError
from agem_tf.files import arrays
from agem_tf.files.rows import SelectedRows, StackedRows
from agem_tf.retrieval import nearest
from agem_tf.retrieval.indexes import inverted_lists
from agem_tf.retrieval.indexes.descriptor_index import DescriptorIndex, Match
from agem_tf.retrieval.indexes.exact_index import ExactIndex
from agem_tf.retrieval.indexes.inverted_lists import (
    InvertedListsFile,
    import_faiss,
)
from agem_tf.retrieval.indexes.photo_lines import new_folder
from agem_tf.retrieval.indexes.photo_names import PhotoNames

_LOG = logging.getLogger(__name__)

# Files of an index of format 1.
ONLY_FILES = {
    "vectors": "vectors.faiss",
    "ids": "ids.npy",
    "names": "names.txt",
}
FILES = {**ONLY_FILES, "places": "places.npy"}
# Lists that are too large for the memory are in a file of their own.
_LISTS = "lists"
ALL_FILES = {**FILES, _LISTS: inverted_lists.FILE}
# Most values in the training sample, of evenly spaced rows: 1 GiB of float32.
_TRAINING_VALUES = 2**28
# Rows of it that FAISS uses for a cell, and for codes of 8 bits.
_TRAINING_ROWS_PER_CELL, _TRAINING_ROWS = 256, 2**16
# Bytes of an index to which a few photos are added beside FAISS.
LARGE = 2**26
# The most of them, which are compared one by one, as a share of those in FAISS,
# and at all; comparing 50,000 x 512 takes about 20 ms.
_RECENT_SHARE, _MOST_RECENT = 0.02, 50_000
# The defaults of FAISS, one cell, 16 candidates, and one photo per result to
# compare by its whole descriptor, are fast but find little.
_CANDIDATES = 64
_COMPARED = 10
# Half-precision and quantized descriptors are not exactly of unit length.
_LENGTH_TOLERANCE = 0.01


class FaissIndex(DescriptorIndex):
    """Index of unit vectors in FAISS, by Euclidean distance.

    The nearest of unit vectors is the most similar one. This still holds after
    a PCA, which does not keep their unit length; the largest dot product would
    favour long vectors there. Similarities are 1 - distance^2 / 2, the dot
    product of unit vectors.

    Photos have numbers in FAISS, which are never reused. Kinds that cannot
    remove a number (HNSW, refined ones) keep the descriptors of removed
    photos, so-called ghosts, in their file; a search requests as many more
    results as there are ghosts.

    An opened index is mapped from its file until it is changed. So codes and
    lists that a search does not visit stay on the disk, and so do whole
    descriptors by which a kind with RFlat compares its candidates again.
    Inverted lists of more than 256 MiB are made, and stay, in a file of their
    own, also when photos are added; of removed photos they keep ghosts.

    FAISS' files can only be written as a whole. So a few photos that are added
    to a large index become an exact index beside it, which is searched too,
    until they are 2 percent; then FAISS takes them in.
    """

    def __init__(self, factory: str, dimension: int):
        """Creates an empty index.

        Raises:
            UserError: FAISS can't be imported, or rejects the factory string.
        """
        super().__init__(factory, dimension)
        faiss = import_faiss()
        with self._readable_errors(f"for {dimension} dimensions"):
            index = faiss.index_factory(dimension, factory)
        # Inverted files store numbers themselves and do not work in a map.
        self._index = index if _is_inverted(index) else faiss.IndexIDMap(index)
        # Photos in FAISS, and those that were added since.
        self._names = PhotoNames([])
        self._recent = ExactIndex(dimension)
        self._numbers = np.empty(0, np.int64)
        # Those that hold what the index holds, by role.
        self._files: dict[str, str] = {}
        # The file that is mapped instead of read.
        self._mapped: pathlib.Path | None = None
        self._is_large_file = False
        # Lists on the disk that are not saved yet.
        self._lists: InvertedListsFile | None = None
        inverted = faiss.try_extract_index_ivf(self._index)
        cells = math.isqrt(inverted.nlist) if inverted is not None else 1
        parameters = {
            "nprobe": cells,
            "efSearch": _CANDIDATES,
            "k_factor_rf": _COMPARED,
        }
        for name, value in parameters.items():
            with contextlib.suppress(UserError):
                self.tune({name: value})

    def __len__(self) -> int:
        return len(self._names) + len(self._recent)

    @property
    def ghosts(self) -> int:
        """See `DescriptorIndex`."""
        return self._hidden + self._recent.ghosts

    @property
    def _hidden(self) -> int:
        return self._index.ntotal - len(self._names)

    def known(self, names: Collection[str]) -> set[str]:
        return set(self._names.rows_of(names)) | self._recent.known(names)

    def names(self) -> list[str]:
        return self._names.all() + self._recent.names()

    def check_cells(self, count: int) -> None:
        """Refuses a number of photos that is too small for training.

        Training would fail too, but only after all descriptors were extracted.

        Raises:
            UserError: there are more cells than `count` photos.
        """
        inverted = import_faiss().try_extract_index_ivf(self._index)
        if inverted is not None and inverted.nlist > count:
            raise UserError(
                f"{self.factory} has {inverted.nlist} cells for {count} "
                "photos; choose fewer cells, or --factory=exact."
            )

    def tune(self, parameters: Mapping[str, int]) -> None:
        space = import_faiss().ParameterSpace()
        for name, value in parameters.items():
            try:
                space.set_index_parameter(self._index, name, value)
            except (RuntimeError, TypeError) as error:
                raise UserError(
                    f"The FAISS index {self.factory} has no parameter "
                    f"{name}={value}; IVF has nprobe, HNSW efSearch, RFlat "
                    "k_factor_rf."
                ) from error

    def save(self, directory: pathlib.Path) -> list[dict[str, str]]:
        """Writes what has changed into the directory of the index.

        Returns:
            The files of FAISS, and of each segment of recent photos, relative
            to the directory.
        """
        if self._files.keys() >= FILES.keys():
            return [self._files, *self._recent.save(directory)]
        place = ""
        if any((directory / file).exists() for file in ALL_FILES.values()):
            place = f"{new_folder(directory)}/"
        files = {r: place + file for r, file in FILES.items()} | self._files
        if "vectors" not in self._files:
            path = directory / files["vectors"]
            import_faiss().write_index(self._index, str(path))
            if self._lists is not None:
                files[_LISTS] = place + ALL_FILES[_LISTS]
                self._lists.move(directory / files[_LISTS])
                self._lists = None
        if "ids" not in self._files:
            arrays.write_array(directory / files["ids"], self._numbers)
        if "names" not in self._files:
            self._names.save(directory, files)
        self._files = files
        return [files, *self._recent.save(directory)]

    @classmethod
    def load(
        cls,
        directory: pathlib.Path,
        factory: str,
        dimension: int,
        files: Mapping[str, str] = ONLY_FILES,
        recent: Sequence[Mapping[str, str]] = (),
    ) -> Self:
        """Opens an index written by `save`.

        Args:
            directory: directory of the index.
            factory, dimension: see `DescriptorIndex`.
            files, recent: what `save` returned, first and others.

        Raises:
            UserError: FAISS can't be imported, or a file is missing or
                damaged.
        """
        index = cls(factory, dimension)
        index._mapped = directory / files["vectors"]
        faiss = import_faiss()
        index._files = dict(files)
        if _LISTS in files:
            lists = directory / files[_LISTS]
            index._read(faiss.IO_FLAG_SKIP_IVF_DATA)
            with index._readable_errors(f"from {lists}"):
                inverted_lists.map_lists(index._index, lists)
        else:
            index._read(faiss.IO_FLAG_MMAP_IFC)
        index._numbers = arrays.load_array(directory / files["ids"], mmap=True)
        index._names = PhotoNames.open(directory, files)
        shape = len(index._names), index._index.d
        if shape != (len(index._numbers), dimension):
            raise UserError(
                f"The files of {directory} do not fit its manifest; index the "
                "photos again."
            )
        if "places" not in files:
            del index._files["names"]
        index._recent = ExactIndex.load(directory, dimension, recent)
        paths = [
            directory / files[role]
            for role in {"vectors", _LISTS} & files.keys()
        ]
        index._is_large_file = sum(p.stat().st_size for p in paths) >= LARGE
        return index

    def _read(self, flags: int = 0) -> None:
        with self._readable_errors(f"from {self._mapped}"):
            self._index = import_faiss().read_index(str(self._mapped), flags)

    def _make_changeable(self) -> None:
        """Reads a mapped index, which FAISS can't change, into memory.

        Lists on the disk stay there; they are not changed but replaced.
        """
        if self._mapped is not None and not self._is_on_disk:
            self._read()
            self._mapped = None

    @property
    def _is_on_disk(self) -> bool:
        return self._lists is not None or _LISTS in self._files

    def _add(self, names: list[str], descriptors: np.ndarray) -> None:
        recent = len(self._recent) + len(names)
        most = min(_RECENT_SHARE * len(self._names), _MOST_RECENT)
        if self._is_large_file and recent <= most:
            self._recent.add(names, descriptors)
            return
        if len(self._recent):
            names = self._recent.names() + names
            descriptors = StackedRows([self._recent.descriptors, descriptors])
            self._recent = ExactIndex(self.dimension)
        self._make_changeable()
        was_on_disk = self._is_on_disk
        self._files = {}
        # The map of FAISS also holds the numbers of ghosts.
        used = self._numbers
        if hasattr(self._index, "id_map"):
            used = import_faiss().vector_to_array(self._index.id_map)
        first = int(used.max(initial=-1)) + 1
        numbers = np.arange(first, first + len(names))
        with self._readable_errors(
            f"for {len(names)} descriptors of {self.dimension} dimensions"
        ):
            if not self._index.is_trained:
                self._train(descriptors)
            blocks = (
                (block, numbers[start : start + len(block)])
                for start, block in nearest.row_blocks(descriptors)
            )
            if was_on_disk or self._is_large(len(descriptors)):
                lists = InvertedListsFile()
                lists.fill(self._index, blocks)
                self._lists = lists
            else:
                for block, own in blocks:
                    self._index.add_with_ids(block, own)
        self._numbers = np.concatenate([self._numbers, numbers])
        self._names = PhotoNames(self._names.all() + names)

    def _check_rows(self, names: Sequence[str], rows: np.ndarray) -> None:
        super()._check_rows(names, rows)
        lengths = np.linalg.norm(rows, axis=1)
        wrong = np.abs(lengths - 1) > _LENGTH_TOLERANCE
        if wrong.any():
            row = int(wrong.argmax())
            raise UserError(
                f"FAISS needs descriptors of length 1, that of {names[row]!r} "
                f"has {lengths[row]:.3g}; normalize them, or choose "
                "--factory=exact."
            )

    def _train(self, descriptors: np.ndarray) -> None:
        inverted = import_faiss().try_extract_index_ivf(self._index)
        cells = 1 if inverted is None else inverted.nlist
        count = min(
            len(descriptors),
            _TRAINING_VALUES // self.dimension,
            max(_TRAINING_ROWS_PER_CELL * cells, _TRAINING_ROWS),
        )
        rows = np.linspace(0, len(descriptors) - 1, count).astype(np.int64)
        sample = SelectedRows(descriptors, rows)[:]
        with native_output.captured() as lines:
            self._index.train(np.ascontiguousarray(sample, np.float32))
        for line in dict.fromkeys(lines):
            _LOG.warning("FAISS: %s", line)

    def _is_large(self, count: int) -> bool:
        """Whether inverted lists with `count` more photos belong on disk."""
        if not _is_inverted(self._index):
            return False
        inverted = import_faiss().extract_index_ivf(self._index)
        total = self._index.ntotal + count
        return total * inverted_lists.list_bytes(inverted) > inverted_lists.PART

    def _remove(self, names: set[str]) -> None:
        recent = self._recent.known(names)
        if len(recent) == len(self._recent):
            self._recent = ExactIndex(self.dimension)
        elif recent:
            self._recent.remove(recent)
        rows = list(self._names.rows_of(names).values())
        if not rows:
            return
        self._make_changeable()
        self._keep_files("vectors", _LISTS)
        kept = np.ones(len(self._names), bool)
        kept[rows] = False
        selector = import_faiss().IDSelectorBatch(self._numbers[~kept])
        # Kinds for which FAISS has not implemented removal keep ghosts.
        if not self._is_on_disk:
            with contextlib.suppress(RuntimeError):
                self._index.remove_ids(selector)
                self._keep_files()
        self._numbers = self._numbers[kept]
        listed = itertools.compress(self._names.all(), kept)
        self._names = PhotoNames(list(listed))

    def _rename(self, names: Mapping[str, str]) -> None:
        recent = self._recent.known(names)
        self._recent.rename({name: names[name] for name in recent})
        if len(recent) == len(names):
            return
        self._keep_files("vectors", _LISTS, "ids")
        renamed = [names.get(name, name) for name in self._names.all()]
        self._names = PhotoNames(renamed)

    def _keep_files(self, *roles: str) -> None:
        """Leaves all files but those of some roles to be written again."""
        self._files = {r: f for r, f in self._files.items() if r in roles}

    def _search(self, queries: np.ndarray, top: int) -> list[list[Match]]:
        found = [[] for _ in queries]
        if len(self._names):
            found = self._search_faiss(queries, top)
        if not len(self._recent):
            return found
        recent = self._recent.search(queries, min(top, len(self._recent)))
        return [
            sorted(pair, key=lambda match: -match.similarity)[:top]
            for pair in map(operator.add, found, recent)
        ]

    def _search_faiss(self, queries: np.ndarray, top: int) -> list[list[Match]]:
        distances, numbers = self._index.search(queries, top + self._hidden)
        rows = np.searchsorted(self._numbers, numbers)
        rows = np.minimum(rows, len(self._names) - 1)
        alive = self._numbers[rows] == numbers
        return [
            [
                Match(self._names[int(row)], float(value))
                for row, value in zip(found[real], values[real], strict=True)
            ][:top]
            for found, values, real in zip(
                rows, 1 - distances / 2, alive, strict=True
            )
        ]

    @contextlib.contextmanager
    def _readable_errors(self, purpose: str) -> Iterator[None]:
        """Turns an error of FAISS into a sentence that names the factory."""
        try:
            yield
        except RuntimeError as error:
            reason = str(error).rpartition("failed: ")[2].rpartition(": ")[2]
            raise UserError(
                f"FAISS can't make {self.factory!r} {purpose} "
                f"({reason.strip()}); choose another --factory, e.g. exact, "
                "HNSW32 or IVF with fewer cells."
            ) from error


def _is_inverted(index: Any) -> bool:
    faiss = import_faiss()
    if isinstance(index, faiss.IndexPreTransform):
        index = faiss.downcast_index(index.index)
    return isinstance(index, faiss.IndexIVF)
