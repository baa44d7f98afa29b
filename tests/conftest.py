"""Fixtures that several rooms share."""

import pathlib

import numpy as np
import PIL.Image
import pytest


def write_photo(path: pathlib.Path, seed: int, size=(48, 36)) -> None:
    """Writes a small photo-like file; the suffix decides the format."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (6, 8, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(coarse).resize(size, PIL.Image.BICUBIC).save(path)


@pytest.fixture
def photo_folder(tmp_path) -> pathlib.Path:
    """Six landmarks of three photos each, in three file formats."""
    root = tmp_path / "photos"
    for landmark in range(6):
        for photo, suffix in enumerate(("jpg", "png", "pgm")):
            path = root / f"place{landmark}" / f"{photo}.{suffix}"
            if suffix == "pgm":
                path.parent.mkdir(parents=True, exist_ok=True)
                grey = np.full((20, 30), 40 * landmark, np.uint8)
                PIL.Image.fromarray(grey).save(path)
            else:
                write_photo(path, 10 * landmark + photo)
    return root
