"""Tileable fractal noise, the texture of every material.

A few tiles are computed once, then cropped, stretched and shifted for each
use: computing new noise each time would cost more than the rest of a photo.
"""

from functools import cache

import cv2
import numpy as np

TILE_SIZE = 512
_TILES = 4


@cache
def fractal_tile(number: int, roughness: float = 1.0) -> np.ndarray:
    """Returns a tile of periodic noise.

    Args:
        number: number of the tile.
        roughness: exponent with which the amplitude falls with frequency; 0.6
            looks like grit, 1.0 like stone, 1.6 like clouds.

    Returns:
        (TILE_SIZE, TILE_SIZE) float32 with mean 0 and standard deviation 1.
    """
    white = np.random.default_rng([number, 7919]).standard_normal(
        (TILE_SIZE, TILE_SIZE)
    )
    rows = np.fft.fftfreq(TILE_SIZE)[:, None]
    columns = np.fft.rfftfreq(TILE_SIZE)[None, :]
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = np.inf
    noise = np.fft.irfft2(np.fft.rfft2(white) * frequency**-roughness)
    return ((noise - noise.mean()) / noise.std()).astype(np.float32)


def noise_field(
    rng: np.random.Generator,
    shape: tuple[int, int],
    zoom: float | tuple[float, float] = 1.0,
    roughness: float = 1.0,
) -> np.ndarray:
    """Crops a random piece of fractal noise.

    Args:
        rng: random generator that chooses tile and position.
        shape: (height, width) of the piece in pixels.
        zoom: tile pixels per pixel, or a pair (along x, along y); a small value
            stretches the noise along that axis.
        roughness: as in `fractal_tile`.

    Returns:
        (height, width) float32 with mean about 0 and deviation about 1.
    """
    zoom_x, zoom_y = zoom if isinstance(zoom, tuple) else (zoom, zoom)
    tile = fractal_tile(int(rng.integers(_TILES)), roughness)
    shift_x, shift_y = rng.uniform(0, TILE_SIZE, 2)
    inverse = np.array([[zoom_x, 0, shift_x], [0, zoom_y, shift_y]])
    return cv2.warpAffine(
        tile,
        inverse,
        (shape[1], shape[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_WRAP,
    )
