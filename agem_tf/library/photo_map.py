"""Map of a library: photos near each other on a plane look alike.

The page holds everything it shows: small pictures of the photos on sheets of a
few hundred, so that a browser decodes few images. The photos themselves are
opened from their folder.
"""

import concurrent.futures
import dataclasses
import functools
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType

import numpy as np
import PIL.Image

from agem_tf.descriptors.whitening_learning import learn_pca
from agem_tf.errors import UserError
from agem_tf.library.answers import find_photo, photo_address
from agem_tf.library.photo_index import PhotoIndex
from agem_tf.pages import templates
from agem_tf.pages.photo_sources import report_absence
from agem_tf.pages.report import counted, jpeg_url
from agem_tf.photos.reading import read_thumbnail
from agem_tf.progress import Progress

LAYOUTS = ("pca", "umap")
# Pixels of a picture, and pictures per side of a sheet.
_SIDE = 64
_SHEET_COLUMNS = 16
_MISSING = "#888"
_THREADS = 4
_UMAP_SEED = 0
# What UMAP considers of each photo.
_NEIGHBOURS = 15


@dataclasses.dataclass(frozen=True)
class MapPhoto:
    """A photo on the map.

    Attributes:
        name: name in the index.
        x, y: place on the map, from 0 to 1.
        address: address of the file, None if it is gone.
        facts: its metadata as a text.
    """

    name: str
    x: float
    y: float
    address: str | None
    facts: str


def map_positions(rows: np.ndarray, layout: str = "pca") -> np.ndarray:
    """Returns places of photos on a plane, the same at every call.

    Args:
        rows: (photos, dimension) descriptors.
        layout: "pca", the two directions of most variance, or "umap", which
            keeps neighbours together; it needs the package umap-learn.

    Returns:
        (photos, 2) float64; the larger extent is from 0 to 1, the other one is
        centred.

    Raises:
        UserError: fewer than three photos, or the package is not installed.

    Reference:
        McInnes et al., https://arxiv.org/abs/1802.03426: UMAP
    """
    if len(rows) < 3:
        raise UserError(f"A map needs at least 3 photos. Received: {len(rows)}")
    places = _by_umap(rows) if layout == "umap" else _by_pca(rows)
    # Two axes have either sign; the longer tail points right and down.
    places = places - places.mean(axis=0)
    places *= np.where((places**3).sum(axis=0) < 0, -1, 1)
    low, high = places.min(axis=0), places.max(axis=0)
    extent = max((high - low).max(), np.finfo(np.float32).tiny)
    return (places - (low + high) / 2) / extent + 0.5


def save_map_page(
    path: str | os.PathLike,
    index: PhotoIndex,
    *,
    layout: str = "pca",
    where: str | None = None,
    most: int = 10_000,
    folder: str | None = None,
) -> int:
    """Writes the map of an exact index as one HTML file.

    Args:
        path: path of the file.
        index: the index.
        layout: see `map_positions`.
        where: filter of the photos by their metadata; see `PhotoIndex.search`.
        most: most photos on the map; of more, as many in even steps.
        folder: folder of the photos, if it has moved.

    Returns:
        Number of photos on the map.

    Raises:
        UserError: the index keeps no descriptors, the filter is malformed, or
            see `map_positions`.
    """
    listed = index.photo_names(where)
    places = np.linspace(0, len(listed) - 1, min(most, len(listed)))
    names = [listed[place] for place in places.round().astype(int)]
    rows = index.stored.index.descriptors_of(names)
    if rows is None:
        raise UserError(
            "A map needs all descriptors; index with --factory=exact."
        )
    places = map_positions(rows, layout)
    folder = folder or index.folder
    photos = [
        _map_photo(name, place, folder, index.metadata(name))
        for name, place in zip(names, places.tolist(), strict=True)
    ]
    addresses = (photo.address for photo in photos)
    report_absence(dict(zip(names, addresses, strict=True)), folder, "folder")
    paths = [find_photo(name, folder, "") for name in names]
    shown = counted(len(names), "photo")
    page = templates.rendered(
        "agem_tf.library",
        "photo_map.html",
        {"photo": jpeg_url},
        title="Map",
        subtitle=shown
        if len(names) == len(listed)
        else (f"{shown} of {len(listed):,}"),
        sheets=_sheets(paths),
        side=_SIDE,
        columns=_SHEET_COLUMNS,
        photos=_script_text([dataclasses.astuple(each) for each in photos]),
    )
    templates.save_page(path, page)
    return len(names)


def _by_pca(rows: np.ndarray) -> np.ndarray:
    pca = learn_pca(rows, 0.0)
    places = np.zeros((len(rows), 2))
    axes = pca.projection[:2]
    places[:, : len(axes)] = (rows - pca.mean) @ axes.T
    return places


def _by_umap(rows: np.ndarray) -> np.ndarray:
    try:
        umap = _import_umap()
    except ImportError as error:
        raise UserError(
            "The layout umap needs umap-learn: pip install '.[map]'; --layout="
            "pca does not."
        ) from error
    reducer = umap.UMAP(
        n_neighbors=min(_NEIGHBOURS, len(rows) - 1),
        metric="cosine",
        # The spectral start has no solution for very few photos.
        init="spectral" if len(rows) > 4 * _NEIGHBOURS else "random",
        random_state=_UMAP_SEED,
        n_jobs=1,
    )
    return np.asarray(reducer.fit_transform(rows), np.float64)


def _import_umap() -> ModuleType:
    """Imports UMAP without the part of it that trains networks.

    That part imports TensorFlow and, where they are installed, PyTorch and
    Triton, which takes seconds and has crashed the process.
    """
    part = "umap.parametric_umap"
    is_left_out = part not in sys.modules
    if is_left_out:
        sys.modules[part] = None
    try:
        import umap
    finally:
        if is_left_out:
            del sys.modules[part]
    return umap


def _map_photo(
    name: str,
    place: Sequence[float],
    folder: str | None,
    metadata: Mapping[str, object],
) -> MapPhoto:
    address = photo_address(find_photo(name, folder, ""))
    facts = ", ".join(f"{key}: {value}" for key, value in metadata.items())
    # Names on Linux are bytes that need not be text.
    shown = name.encode("utf-8", "replace").decode()
    return MapPhoto(
        shown, round(place[0], 5), round(place[1], 5), address, facts
    )


def _sheets(paths: Sequence[str]) -> Iterator[PIL.Image.Image]:
    """Yields sheets of pictures, in order, filled from left to right."""
    read = functools.partial(read_thumbnail, side=2 * _SIDE)
    per_sheet = _SHEET_COLUMNS**2
    with (
        concurrent.futures.ThreadPoolExecutor(_THREADS) as pool,
        Progress("Pictures", len(paths), "photos") as progress,
    ):
        for start in range(0, len(paths), per_sheet):
            part = paths[start : start + per_sheet]
            side = _SIDE * _SHEET_COLUMNS
            sheet = PIL.Image.new("RGB", (side, side), _MISSING)
            for place, photo in enumerate(pool.map(read, part)):
                row, column = divmod(place, _SHEET_COLUMNS)
                if photo is not None:
                    left, top = column * _SIDE, row * _SIDE
                    sheet.paste(_square(photo), (left, top))
            progress.update(len(part))
            yield sheet


def _square(photo: PIL.Image.Image) -> PIL.Image.Image:
    side = min(photo.size)
    left, top = (photo.width - side) // 2, (photo.height - side) // 2
    middle = (left, top, left + side, top + side)
    return photo.resize((_SIDE, _SIDE), PIL.Image.Resampling.LANCZOS, middle)


def _script_text(value: object) -> str:
    """Returns JSON that no name can end the script element with."""
    return json.dumps(value).replace("<", "\\u003c")
