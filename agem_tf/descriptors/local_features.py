"""Local features: the keypoints of a photo, each with a descriptor.

A photo has hundreds of them, so the features of many photos lie in one file of
rows that is mapped, not read. With n features of d dimensions, a photo takes
n * (2 d + 16) + 24 bytes: 72 kB for 500 features of 64 dimensions.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from agem_tf.errors import UserError
from agem_tf.files import arrays
from agem_tf.files.atomic_writing import (
    Unfinished,
    atomic_directory,
    resumable_directory,
)
from agem_tf.files.manifest import (
    holds_kind,
    read_manifest,
    write_manifest,
)
from agem_tf.files.provenance import normalize_provenance
from agem_tf.files.rows import GrowingArray

KIND = "local features"
# Photos with a shorter side in pixels have no features, as in DELF.
LEAST_PHOTO_SIDE = 10
_NAMES = "names.txt"
_PHOTOS = "photos.npy"
_PLACES = "places.npy"
_DESCRIPTORS = "descriptors.npy"
# Photos that a killed writer may lose.
_NOTED_PHOTOS = 100


@dataclass(frozen=True, eq=False)
class LocalFeatures:
    """The local features of one photo.

    Attributes:
        keypoints: (n, 2) float32, x and y in pixels of the upright photo; the
            centre of its first pixel is (0, 0).
        descriptors: (n, d) float32 or float16; other types become float32.
        scores: (n,) float32, larger for more reliable features.
        scales: (n,) float32, positive; the size of the features relative to
            those of a photo at its own size.
        size: height and width of the photo in pixels.

    Raises:
        UserError: the shapes do not belong together, a value is NaN or
            infinite, a scale is not positive, or the photo has no pixels.
    """

    keypoints: np.ndarray
    descriptors: np.ndarray
    scores: np.ndarray
    scales: np.ndarray
    size: tuple[int, int]

    def __post_init__(self) -> None:
        descriptors = np.asanyarray(self.descriptors)
        if descriptors.dtype != np.float16:
            descriptors = np.asanyarray(descriptors, np.float32)
        converted = {
            "keypoints": np.asanyarray(self.keypoints, np.float32),
            "descriptors": descriptors,
            "scores": np.asanyarray(self.scores, np.float32),
            "scales": np.asanyarray(self.scales, np.float32),
        }
        shapes = {name: array.shape for name, array in converted.items()}
        count = len(descriptors) if descriptors.ndim == 2 else -1
        if (
            shapes["descriptors"][1:] == (0,)
            or shapes["keypoints"] != (count, 2)
            or shapes["scores"] != (count,)
            or shapes["scales"] != (count,)
        ):
            raise UserError(
                "local features need keypoints (n, 2), descriptors (n, d) with "
                "d at least 1, scores (n,) and scales (n,). Received: "
                f"{shapes}"
            )
        for name, array in converted.items():
            if not np.isfinite(array).all():
                raise UserError(
                    f"{name} of local features hold NaN or infinite values; "
                    "check the photo and the weights of the model."
                )
            object.__setattr__(self, name, array)
        if (self.scales <= 0).any():
            raise UserError(
                "scales of local features must be positive. Received: "
                f"{self.scales.min():g}"
            )
        height, width = (int(side) for side in self.size)
        if min(height, width) < 1:
            raise UserError(
                "local features need the height and width of their photo, at "
                f"least 1 pixel each. Received: {(height, width)}"
            )
        object.__setattr__(self, "size", (height, width))

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def dimension(self) -> int:
        """Dimension of the descriptors."""
        return self.descriptors.shape[1]

    def strongest(self, count: int) -> Self:
        """Returns the `count` features of the highest scores, best first."""
        best = np.argsort(-self.scores, kind="stable")[:count]
        return type(self)(
            self.keypoints[best],
            self.descriptors[best],
            self.scores[best],
            self.scales[best],
            self.size,
        )

    @classmethod
    def none(cls, dimension: int, size: tuple[int, int]) -> Self:
        """Returns the features of a photo that has none."""
        return cls(np.empty((0, 2)), np.empty((0, dimension)), [], [], size)


@dataclass(eq=False)
class LocalFeatureSet:
    """Local features of many photos, mapped from the disk.

    Attributes:
        names: one unique name per photo.
        provenance: how the features were made; see `DescriptorSet`.
        dimension: dimension of the descriptors.
    """

    names: Sequence[str]
    provenance: Mapping[str, Any]
    dimension: int
    _directory: Path = field(repr=False)
    _sizes: np.ndarray = field(repr=False)
    _offsets: np.ndarray = field(repr=False)
    _places: np.ndarray = field(repr=False)
    _descriptors: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        self._index = {name: i for i, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: str) -> bool:
        return name in self._index

    def __iter__(self) -> Iterator[LocalFeatures]:
        return map(self.__getitem__, self.names)

    def __getitem__(self, name: str) -> LocalFeatures:
        """Returns the features of a photo, its descriptors without a copy.

        Raises:
            UserError: there is no photo of that name, or its features hold
                NaN or infinite values.
        """
        self.check_has([name])
        photo = self._index[name]
        rows = slice(self._offsets[photo], self._offsets[photo + 1])
        x, y, scores, scales = self._places[rows].T
        height, width = self._sizes[photo]
        try:
            return LocalFeatures(
                np.column_stack([x, y]),
                self._descriptors[rows],
                scores,
                scales,
                (height, width),
            )
        except UserError as error:
            raise UserError(f"{self._directory}, {name!r}: {error}") from error

    def is_of(
        self, names: Sequence[str], provenance: Mapping[str, Any]
    ) -> bool:
        """Returns whether the set has these names and this provenance."""
        made = normalize_provenance(provenance)
        return self.names == list(names) and self.provenance == made

    def check_has(self, names: Sequence[str]) -> None:
        """Checks that photos have features.

        Raises:
            UserError: a photo is missing; the message names the first.
        """
        missing = [name for name in names if name not in self._index]
        if missing:
            raise UserError(
                f"The local features lack {len(missing)} of {len(names)} "
                f"photos, {missing[0]!r} first; extract the split that they "
                "belong to."
            )

    @property
    def bytes_per_photo(self) -> float:
        """Mean number of bytes that the features of a photo take."""
        total = self._places.nbytes + self._descriptors.nbytes
        total += self._sizes.nbytes + self._offsets.nbytes
        return total / max(len(self), 1)

    @property
    def photos_without_features(self) -> int:
        """Number of photos that have no feature."""
        return int((np.diff(self._offsets) == 0).sum())

    @property
    def features_per_photo(self) -> float:
        """Mean number of features of a photo."""
        return len(self._places) / max(len(self), 1)

    def sample_descriptors(self, count: int, seed: int = 0) -> np.ndarray:
        """Returns descriptors of all photos, or a random `count` of them.

        Args:
            count: Most descriptors.
            seed: Seed of the draw.

        Returns:
            (descriptors, dimension) float32, in the order of the file.

        Raises:
            UserError: one of them holds NaN or infinite values.
        """
        total = len(self._descriptors)
        rows: slice | np.ndarray = slice(None)
        if total > count:
            drawn = np.random.default_rng(seed).choice(total, count, False)
            rows = np.sort(drawn)
        sample = np.asarray(self._descriptors[rows], np.float32)
        if not np.isfinite(sample).all():
            raise UserError(
                f"Descriptors of {self._directory} hold NaN or infinite "
                "values; extract the local features again."
            )
        return sample

    @classmethod
    def load(cls, directory: str | os.PathLike, verify: bool = False) -> Self:
        """Maps what a `LocalFeatureWriter` wrote.

        Args:
            directory: directory of the local features.
            verify: whether to compare the files with their checksums first.

        Raises:
            UserError: the directory is missing, damaged or of another kind.
        """
        directory = Path(directory)
        manifest = read_manifest(directory, KIND, verify)
        names = arrays.read_names(directory / _NAMES)
        photos = arrays.load_array(directory / _PHOTOS)
        places = arrays.load_array(directory / _PLACES, mmap=True)
        descriptors = arrays.load_array(directory / _DESCRIPTORS, mmap=True)
        fits = (
            photos.shape == (len(names), 3)
            and photos.dtype.kind == "i"
            and not (photos < (0, 1, 1)).any()
            and not (photos[:, 0] > len(places)).any()
            and places.shape == (photos[:, 0].sum(), 4)
            and places.dtype == np.float32
            and descriptors.ndim == 2
            and descriptors.shape[1] > 0
            and len(descriptors) == len(places)
            and descriptors.dtype in (np.float16, np.float32)
            and len(set(names)) == len(names)
        )
        if not fits:
            raise UserError(
                f"The files of {directory} do not belong together; write the "
                "local features again."
            )
        return cls(
            names,
            manifest.get("provenance", {}),
            descriptors.shape[1],
            directory,
            photos[:, 1:],
            np.concatenate([[0], np.cumsum(photos[:, 0])]),
            places,
            descriptors,
        )


def is_local_feature_set(directory: str | os.PathLike) -> bool:
    """Whether a directory holds local features."""
    return holds_kind(directory, KIND)


class LocalFeatureWriter:
    """Context manager that writes local features photo by photo.

    The directory appears when the block ends without an error.

    Example:
        with LocalFeatureWriter("out", names, 64, provenance) as writer:
            for name in names[writer.photos_written :]:
                writer.write(extract(name))

    Args:
        directory: directory of the new set; an older set is replaced.
        names: unique names of all photos, in the order of the writes to come.
        dimension: dimension of the descriptors.
        provenance: see `DescriptorSet`.
        dtype: type of the descriptors in the file, float16 or float32.
        resume: whether to resume what an earlier writer of the same set left
            unfinished, and to leave unfinished work in turn.

    Attributes:
        photos_written: photos written so far, by earlier writers too; the next
            one is `names[photos_written]`.

    Raises:
        UserError: a name is repeated or has a line break.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        names: Sequence[str],
        dimension: int,
        provenance: Mapping[str, Any] | None = None,
        dtype: np.dtype | type = np.float16,
        resume: bool = False,
    ) -> None:
        self.directory = Path(directory)
        self.names = arrays.check_names(names, "names")
        if len(set(self.names)) < len(self.names):
            raise UserError(
                "Local features are read by name, so that every photo needs "
                "its own; rename the photos."
            )
        self.dimension = dimension
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self.provenance = normalize_provenance(provenance or {})
        self._resume = resume
        self._unfinished: Unfinished | None = None

    @property
    def photos_written(self) -> int:
        return self._photos.rows

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            if self._resume:
                self._unfinished = stack.enter_context(
                    resumable_directory(self.directory, self._identity())
                )
                self._temporary = self._unfinished.content
            else:
                self._temporary = stack.enter_context(
                    atomic_directory(self.directory)
                )
            done = self._unfinished.done if self._unfinished else 0
            rows = self._count_rows(done) if done else 0
            self._photos = stack.enter_context(
                self._open(_PHOTOS, (len(self.names), 3), np.int64, done)
            )
            self._places = stack.enter_context(
                self._open(_PLACES, (None, 4), np.float32, rows)
            )
            self._descriptors = stack.enter_context(
                self._open(
                    _DESCRIPTORS, (None, self.dimension), self.dtype, rows
                )
            )
            self._resources = stack.pop_all()
        return self

    def __exit__(self, *exception: Any) -> None:
        if exception[0] is not None:
            with contextlib.suppress(OSError, UserError):
                self._note_photos()
            self._resources.__exit__(*exception)
            return
        with self._resources:
            self._finish()

    def write(self, features: LocalFeatures) -> None:
        """Appends the features of the next photo.

        Raises:
            UserError: a descriptor is too large for the type of the file.
            ValueError: the dimension is wrong, or there are more photos than
                names.
        """
        if features.dimension != self.dimension:
            raise ValueError(
                f"`features` must have dimension {self.dimension}. Received: "
                f"{features.dimension}"
            )
        if self.photos_written == len(self.names):
            raise ValueError(f"All {len(self.names)} photos are written.")
        with np.errstate(over="ignore"):
            descriptors = features.descriptors.astype(self.dtype)
        if not np.isfinite(descriptors).all():
            raise UserError(
                f"The descriptors of {self.names[self.photos_written]!r} are "
                f"too large for {self.dtype.name}; normalize them."
            )
        self._places.append(
            np.column_stack(
                [features.keypoints, features.scores, features.scales]
            )
        )
        self._descriptors.append(descriptors)
        self._photos.append(np.array([[len(features), *features.size]]))
        noted = self._unfinished.done if self._unfinished else 0
        if self.photos_written - noted >= _NOTED_PHOTOS:
            self._note_photos()

    def _open(
        self,
        file: str,
        shape: tuple[int | None, int],
        dtype: np.dtype | type,
        rows: int,
    ) -> GrowingArray:
        dtype = np.dtype(dtype).newbyteorder("<")
        return GrowingArray(self._temporary / file, shape, dtype, rows)

    def _count_rows(self, photos: int) -> int:
        """Returns the number of features of the first photos in the file."""
        with (self._temporary / _PHOTOS).open("rb") as file:
            np.lib.format.read_magic(file)
            # It announces all photos, more than there are yet.
            np.lib.format.read_array_header_1_0(file)
            written = np.fromfile(file, "<i8", 3 * photos)
        return int(written.reshape(photos, 3)[:, 0].sum())

    def _note_photos(self) -> None:
        if self._unfinished:
            for array in (self._places, self._descriptors, self._photos):
                array.flush()
            self._unfinished.note(self.photos_written)

    def _identity(self) -> dict[str, Any]:
        names = "\n".join(self.names).encode("utf-8", "surrogateescape")
        return {
            "names": hashlib.sha256(names).hexdigest(),
            "dimension": self.dimension,
            "dtype": self.dtype.str,
            "provenance": self.provenance,
        }

    def _finish(self) -> None:
        if self.photos_written != len(self.names):
            raise ValueError(
                f"Expected the features of {len(self.names)} photos. Received: "
                f"{self.photos_written}"
            )
        self._note_photos()
        for array in (self._places, self._descriptors, self._photos):
            array.close()
        arrays.write_names(self._temporary / _NAMES, self.names)
        write_manifest(self._temporary, KIND, provenance=self.provenance)
