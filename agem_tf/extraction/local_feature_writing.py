"""Writes the local features of a prepared dataset or of a folder, resumably."""

import contextlib
import dataclasses
import functools
import hashlib
import logging
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager as ContextManager
from typing import Any, NamedTuple

import numpy as np

from agem_tf.config import ImageConfig
from agem_tf.datasets.photo_pipeline import PhotoPipeline
from agem_tf.datasets.prepared import Split
from agem_tf.descriptors.local_features import (
    LocalFeatures,
    LocalFeatureSet,
    LocalFeatureWriter,
)
from agem_tf.errors import UserError
from agem_tf.extraction.local_extractor import LocalExtractor
from agem_tf.files.manifest import MANIFEST
from agem_tf.files.portions import load_portions, spans
from agem_tf.photos import reading
from agem_tf.photos.canvases import pixel_box
from agem_tf.photos.listing import list_folder
from agem_tf.photos.upright_rgb import to_rgb, upright_size
from agem_tf.progress import Progress

_LOG = logging.getLogger(__name__)

# Consecutive photos that are extracted together: those of equal shapes in one
# batch, so that the rounding of a photo depends on the others.
UNIT = 16


def write_local_features(
    extractor: LocalExtractor,
    directory: str | pathlib.Path,
    split: Split,
    names: Sequence[str] | None = None,
    crop: bool = False,
    overwrite: bool = False,
    portions: Sequence[pathlib.Path] = (),
) -> LocalFeatureSet:
    """Extracts the local features of a split into a directory.

    A finished set of the same model and settings is kept, and an interrupted
    one is resumed. Portions of the photos may be written by other processes;
    with borders at multiples of `UNIT` the features are the same, bit by bit.

    Args:
        extractor: Extractor of any kind.
        directory: Directory to write the set to.
        split: Split of a prepared dataset.
        names: Names of the photos; by default all of the split.
        crop: Whether only the features inside each photo's query box count.
        overwrite: Whether to extract a finished set again. An extraction that
            was interrupted meanwhile is resumed.
        portions: Directories of sets of consecutive photos, whose features are
            taken over.

    Raises:
        UserError: A record is corrupt, the directory holds other files, a
            portion is of other photos or settings, or the disk is full.
    """
    names = list(split.names if names is None else names)
    made = extractor.provenance | {
        "dataset": split.fingerprint,
        "split": split.name,
        "crop": crop,
        **({"lost": list(split.lost)} if split.lost else {}),
    }

    @contextlib.contextmanager
    def windows(first: int, end: int) -> Iterator[Iterator["_Window"]]:
        photos = split.find(names)[first:end]
        pipeline = PhotoPipeline(split, ImageConfig())
        with pipeline.errors_named():
            boxes = split.boxes[photos] if crop else None
            yield _windows(pipeline, photos, split.sizes[photos], boxes)

    return _write(
        extractor, directory, names, made, overwrite, windows, portions
    )


def folder_names(folder: str) -> list[str]:
    """Returns the names of the photos of a folder, as an index has them."""
    root = os.path.abspath(os.path.expanduser(folder))
    return [os.path.relpath(path, root) for path in list_folder(folder)]


def write_folder_features(
    extractor: LocalExtractor,
    directory: str | pathlib.Path,
    folder: str,
    overwrite: bool = False,
    names: Sequence[str] | None = None,
    portions: Sequence[pathlib.Path] = (),
    skip: Callable[[UserError], None] | None = None,
) -> LocalFeatureSet:
    """Extracts the local features of the photos of a folder.

    A finished set of the same photos and settings is kept, and an interrupted
    one is resumed; sizes and times of the files show whether photos changed.
    For portions see `write_local_features`.

    Args:
        extractor: Extractor of any kind.
        directory: Directory to write the set to.
        folder: Folder of photos; names are relative to it, as in an index.
        overwrite: Whether to extract a finished set again. An extraction that
            was interrupted meanwhile is resumed.
        names: Names of the photos; by default all of the folder.
        portions: Directories of sets of consecutive photos, whose features are
            taken over.
        skip: Called with the error of each photo that can't be read, which then
            has no features; without it, the first one ends the extraction.

    Raises:
        UserError: A photo can't be read and there is no `skip`, the directory
            holds other files, a portion is of other photos or settings, or the
            disk is full.
    """
    root = os.path.abspath(os.path.expanduser(folder))
    names = list(folder_names(folder) if names is None else names)

    @contextlib.contextmanager
    def windows(first: int, end: int) -> Iterator[Iterator["_Window"]]:
        yield (
            [_whole_photo(os.path.join(root, name), skip)]
            for name in names[first:end]
        )

    # Also of the photos of other portions.
    stats = [os.stat(path) for path in list_folder(folder)]
    files = str([(each.st_size, each.st_mtime_ns) for each in stats])
    made = extractor.provenance | {
        "files": hashlib.sha256(files.encode()).hexdigest()[:12]
    }
    return _write(
        extractor, directory, names, made, overwrite, windows, portions
    )


def _write(
    extractor: LocalExtractor,
    directory: str | pathlib.Path,
    names: list[str],
    made: dict[str, Any],
    overwrite: bool,
    windows: Callable[[int, int], ContextManager[Iterator["_Window"]]],
    portions: Sequence[pathlib.Path],
) -> LocalFeatureSet:
    """Writes a set, unless it is finished; `windows` reads a part of it."""
    directory = pathlib.Path(directory)
    found = load_portions(
        portions,
        functools.partial(LocalFeatureSet.load, verify=True),
        names,
        made,
    )
    if not overwrite and (directory / MANIFEST).exists():
        finished = LocalFeatureSet.load(directory)
        if finished.is_of(names, made):
            return finished
    writer = LocalFeatureWriter(
        directory, names, extractor.dimension, made, resume=True
    )
    with writer:
        done = writer.photos_written
        if done:
            _LOG.info("%d of %d photos are done", done, len(names))
        with Progress("Local features", len(names) - done) as progress:
            for first, end, portion, _ in spans(done, len(names), found):
                if portion is not None:
                    for name in names[first:end]:
                        writer.write(portion[name])
                    progress.update(end - first)
                    continue
                # A unit that is resumed runs as a whole, with equal rounding.
                repeated = first % UNIT
                with windows(first - repeated, end) as remaining:
                    for window in remaining:
                        skipped = min(repeated, len(window))
                        repeated -= skipped
                        if skipped == len(window):
                            continue
                        features = extractor.features(
                            [photo.pixels for photo in window]
                        )
                        for photo, each in list(
                            zip(window, features, strict=True)
                        )[skipped:]:
                            writer.write(photo.placed(each))
                        progress.update(len(window) - skipped)
    return LocalFeatureSet.load(directory)


class _CroppedPhoto(NamedTuple):
    """Pixels to describe, and where they are in the whole photo.

    Attributes:
        pixels: (height, width, 3) uint8.
        corner: x and y of the first pixel in the decoded photo.
        size: Height and width of the whole photo.
        reduction: Pixels of the photo per decoded pixel; 2 for a large JPEG,
            which is decoded at half its sides.
    """

    pixels: np.ndarray
    corner: tuple[int, int]
    size: tuple[int, int]
    reduction: float = 1.0

    def placed(self, features: LocalFeatures) -> LocalFeatures:
        """Returns features of the pixels as those of the whole photo."""
        decoded = features.keypoints + np.array(self.corner, np.float32)
        return dataclasses.replace(
            features,
            keypoints=self.reduction * (decoded + 0.5) - 0.5,
            scales=self.reduction * features.scales,
            size=self.size,
        )


_Window = list[_CroppedPhoto]
# Too small to have features.
_NO_PHOTO = _CroppedPhoto(np.zeros((1, 1, 3), np.uint8), (0, 0), (1, 1))


def _whole_photo(
    path: str, skip: Callable[[UserError], None] | None
) -> _CroppedPhoto:
    """Reads a photo of a folder; a large JPEG is decoded at half its sides."""
    remedy = "remove it from the folder, or pass --skip_corrupt"
    try:
        encoded = reading.read_photo_file(path, remedy)
        with reading.opened(encoded, path, remedy) as photo:
            pixels = np.asarray(to_rgb(photo))
            factor = reading.reduction(photo)
    except UserError as error:
        if skip is None:
            raise
        skip(error)
        return _NO_PHOTO
    size = pixels.shape[:2]
    if factor > 1:
        with reading.open_header(encoded) as header:
            size = upright_size(header)[::-1]
    return _CroppedPhoto(pixels, (0, 0), size, factor)


def _windows(
    pipeline: PhotoPipeline,
    photos: np.ndarray,
    sizes: np.ndarray,
    boxes: np.ndarray | None,
) -> Iterator[_Window]:
    """Yields photos in order, a few at a time."""
    window = []
    for number, whole in enumerate(pipeline.whole_photos(photos)):
        pixels, corner, shape = whole.numpy(), (0, 0), whole.shape[:2]
        height, width = map(int, sizes[number])
        reduction = round(max(height, width) / max(shape))
        if boxes is not None and boxes[number].any():
            box = pixel_box(boxes[number] / reduction, shape)
            left, top, right, bottom = box
            pixels, corner = pixels[top:bottom, left:right], (left, top)
        window.append(_CroppedPhoto(pixels, corner, (height, width), reduction))
        if len(window) == UNIT:
            yield window
            window = []
    if window:
        yield window
