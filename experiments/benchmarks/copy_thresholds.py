"""Similarities of copies, of shots of one thing, and of different things.

    python experiments/benchmarks/copy_thresholds.py --photos=DIR

The two thresholds of agem_tf.duplicates are chosen by this table. Photos are
rendered landmarks, and those of a folder without copies if one is given; each
is changed as programs and people change a photo. The model is the one of an
index without --workdir.
"""

import io
from collections.abc import Callable

import numpy as np
import PIL.Image
import PIL.ImageEnhance
import PIL.ImageOps
from absl import app, flags
from measuring import print_table
from rendered_photos import jpeg, rendered_photos

from agem_tf.library.photo_models import model_for_photos
from agem_tf.photos.listing import list_folder
from agem_tf.photos.reading import read_pixels

_PHOTOS = flags.DEFINE_string("photos", None, "Folder of real photos.")
_LANDMARKS = flags.DEFINE_integer("landmarks", 40, "Rendered landmarks.")
_SHOTS = flags.DEFINE_integer("shots", 5, "Photos per landmark.")
_SIDE = 640


def main(argv: list[str]) -> None:
    """Prints the table."""
    del argv
    extractor = model_for_photos().extractor()

    def described(photos: list[PIL.Image.Image]) -> np.ndarray:
        return extractor.encoded([jpeg(photo, 90) for photo in photos])

    rendered = rendered_photos(0, _LANDMARKS.value, _SHOTS.value, _SIDE)
    sources = {"rendered": rendered}
    if _PHOTOS.value:
        sources["real"] = [
            PIL.Image.fromarray(read_pixels(path))
            for path in list_folder(_PHOTOS.value)
        ]
    table = []
    for source, photos in sources.items():
        rows = described(photos)
        for name, change in _CHANGES.items():
            changed = described([change(photo) for photo in photos])
            table.append(_row(source, name, (rows * changed).sum(axis=1)))
        things = np.arange(len(rows))
        if source == "rendered":
            things //= _SHOTS.value
            same = things[:, None] == things
            np.fill_diagonal(same, False)
            products = np.where(same, rows @ rows.T, -1)
            table.append(_row(source, "best other shot", products.max(axis=1)))
        other = np.where(things[:, None] != things, rows @ rows.T, -1)
        table.append(_row(source, "best other thing", other.max(axis=1)))
    print_table(iter(table))


def _row(source: str, name: str, values: np.ndarray) -> dict[str, object]:
    quantiles = np.quantile(values, (0, 0.05, 0.5, 0.95, 1))
    labels = ("least", "5 %", "median", "95 %", "most")
    return {"photos": source, "pair": name, "pairs": len(values)} | {
        label: f"{value:.3f}"
        for label, value in zip(labels, quantiles, strict=True)
    }


def _saved_smaller(photo: PIL.Image.Image) -> PIL.Image.Image:
    smaller = photo.reduce(2)
    return PIL.Image.open(io.BytesIO(jpeg(smaller, 60)))


def _cropped(share: float) -> Callable[[PIL.Image.Image], PIL.Image.Image]:
    def crop(photo: PIL.Image.Image) -> PIL.Image.Image:
        width, height = photo.size
        left, top = round(share * width), round(share * height)
        return photo.crop((left, top, width - left, height - top))

    return crop


def _brighter(photo: PIL.Image.Image) -> PIL.Image.Image:
    brighter = PIL.ImageEnhance.Brightness(photo).enhance(1.25)
    return PIL.ImageEnhance.Color(brighter).enhance(1.2)


def _rotated(photo: PIL.Image.Image) -> PIL.Image.Image:
    rotated = photo.rotate(3, PIL.Image.Resampling.BICUBIC)
    return _cropped(0.05)(rotated)


_CHANGES = {
    "half the size, JPEG 60": _saved_smaller,
    "5 % cropped from each side": _cropped(0.05),
    "15 % cropped from each side": _cropped(0.15),
    "brighter, more colour": _brighter,
    "rotated by 3 degrees": _rotated,
    "mirrored": PIL.ImageOps.mirror,
}


if __name__ == "__main__":
    app.run(main)
