"""Fuzz the reading of photos with seeded mutations.

    python experiments/benchmarks/mutated_photos.py --mutations=10000

Mutations of small photos of every format, and of EXIF blocks in photos, are
read as every command reads photos: each gives a photo that TensorFlow decodes,
or is refused with one UserError. The same bytes then pass in batches through
the graph of an exported model, which gives each photo a status. Any exception
escapes; the number of its input is printed.
"""

import io
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
import PIL.Image
import tensorflow as tf
from absl import app
from absl.flags import FLAGS
from measuring import measure, print_table
from mutated_files import mutated

from agem_tf.config import ImageConfig
from agem_tf.errors import UserError
from agem_tf.photos.decoding import decode_photo
from agem_tf.photos.encoding import encode_photo
from agem_tf.photos.reading import pillow_heif
from agem_tf.photos.screening import decode_valid

_BATCH = 50


class Outcomes(NamedTuple):
    """Number of inputs by outcome.

    Attributes:
        read: photos.
        refused: inputs with a UserError.
        valid: photos to which the graph gives the status valid.
        escaped: any other exception, by the number of the input.
        slowest: seconds of the slowest input.
    """

    read: int
    refused: int
    valid: int
    escaped: dict[int, BaseException]
    slowest: float


def photos() -> dict[str, list[bytes]]:
    """Returns small photos of several modes and settings per format."""
    coarse = np.random.default_rng(0).integers(0, 255, (6, 8, 3))
    photo = PIL.Image.fromarray(coarse.astype(np.uint8)).resize((48, 36))
    grey = np.asarray(photo.convert("L"))
    deep = [
        PIL.Image.fromarray(values)
        for values in (
            grey.astype(np.uint16) * 257,
            grey.astype(np.int32) * 1000,
            grey.astype(np.float32) / 255,
        )
    ]
    # 16 bits per colour, of which 16 or 8 are used, and with alpha.
    wide = np.asarray(photo.convert("RGBA")).astype(np.uint16)
    colours = [257 * wide[..., :3], wide[..., :3], wide]
    exif = PIL.Image.Exif()
    exif[0x0112] = 6

    def encoded(kind: str, image: PIL.Image.Image = photo, **options) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    found = {
        "JPEG": [
            encoded("JPEG", exif=exif),
            encoded("JPEG", progressive=True),
            encoded("JPEG", photo.convert("L")),
            encoded("JPEG", photo.convert("CMYK")),
        ],
        "MPO": [
            encoded("MPO", save_all=True, append_images=[photo.rotate(90)])
        ],
        "PNG": [
            encoded("PNG", exif=exif),
            encoded("PNG", photo.convert("RGBA")),
            encoded("PNG", photo.quantize(16), transparency=3),
            encoded("PNG", photo.convert("1")),
            encoded("PNG", deep[0]),
            *(tf.io.encode_png(values).numpy() for values in colours),
        ],
        "WEBP": [
            encoded("WEBP", exif=exif),
            encoded("WEBP", photo.convert("RGBA"), lossless=True),
        ],
        "GIF": [
            encoded("GIF"),
            encoded("GIF", save_all=True, append_images=[photo.rotate(90)]),
        ],
        "BMP": [encoded("BMP"), encoded("BMP", photo.convert("1"))],
        "TIFF": [
            encoded("TIFF", exif=exif),
            *(
                encoded("TIFF", compression=name)
                for name in ("tiff_lzw", "tiff_adobe_deflate", "jpeg")
            ),
            *(encoded("TIFF", image) for image in deep),
            *(cv2.imencode(".tif", each)[1].tobytes() for each in colours),
        ],
        "PPM": [
            encoded("PPM"),
            encoded("PPM", deep[0]),
            b"P6 48 36 99\n" + bytes(48 * 36 * 3),
            b"P3 4 2 255\n" + b"17 " * 24,
        ],
        "AVIF": [encoded("AVIF", exif=exif)],
    }
    if pillow_heif is not None:
        found["HEIF"] = [encoded("HEIF", exif=exif)]
    return found


def exif_photos(rng: np.random.Generator) -> Iterator[bytes]:
    """Yields photos with mutated EXIF blocks."""
    photo = PIL.Image.new("RGB", (16, 12), "grey")
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Maker of cameras"
    exif[0x011A], exif[0x0128] = 72.0, 2
    exif.get_ifd(0x8769).update({0x9003: "2020:02:02 02:02:02", 0x829A: 0.01})
    exif.get_ifd(0x8825).update({1: "N", 2: (1.0, 2.0, 3.0)})
    block = exif.tobytes()
    swapped = PIL.Image.Exif()
    swapped.load(
        b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6" + bytes(6)
    )
    while True:
        for kind in ("JPEG", "PNG", "WEBP"):
            base = block if rng.random() < 0.7 else swapped.tobytes()
            buffer = io.BytesIO()
            photo.save(buffer, kind, exif=b"Exif\0\0" + mutated(base[6:], rng))
            yield buffer.getvalue()


def mutated_photos(
    originals: list[bytes], rng: np.random.Generator
) -> Iterator[bytes]:
    """Yields mutations of photos."""
    while True:
        yield mutated(originals[rng.integers(len(originals))], rng)


@tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
def statuses(encoded):
    """Returns the status that a graph gives to each photo."""
    boxes = tf.zeros((tf.size(encoded), 4))
    return decode_valid(encoded, boxes, ImageConfig(size=32)).status


def fuzz(inputs: Iterator[bytes], count: int) -> Outcomes:
    """Reads photos on the host and in a graph.

    Args:
        inputs: encoded photos, of which any may be bad.
        count: number of photos to read.
    """
    read, refused, valid, slowest, batch = 0, 0, 0, 0.0, []
    escaped: dict[int, BaseException] = {}
    for number in range(count):
        encoded = next(inputs)
        start = time.perf_counter()
        try:
            photo = encode_photo(encoded, "photo")
            decode_photo(tf.constant(photo.encoded))
            read += 1
        except UserError:
            refused += 1
        except Exception as error:
            escaped[number] = error
        slowest = max(slowest, time.perf_counter() - start)
        batch.append(encoded)
        if len(batch) == _BATCH or number == count - 1:
            try:
                valid += int(
                    tf.reduce_sum(tf.cast(statuses(batch) == 0, "int32"))
                )
            except Exception as error:
                escaped[number] = error
            batch = []
    return Outcomes(read, refused, valid, escaped, slowest)


def cases(seed: int) -> dict[str, Callable[[], Iterator[bytes]]]:
    """Returns what makes the inputs of each row of the table."""
    rows = {
        kind: lambda originals=originals: mutated_photos(
            originals, np.random.default_rng(seed)
        )
        for kind, originals in photos().items()
    }
    return rows | {"EXIF": lambda: exif_photos(np.random.default_rng(seed))}


def main(_) -> None:
    rows = cases(FLAGS.seed)
    share = FLAGS.mutations // (len(rows) - 1)

    def results() -> Iterator[dict[str, object]]:
        for kind, inputs in rows.items():
            count = FLAGS.mutations if kind == "EXIF" else share
            done = measure(lambda: fuzz(inputs(), count))  # noqa: B023
            found = done.result
            yield {
                "inputs": kind,
                "number": count,
                "photos": found.read,
                "refused": found.refused,
                "valid in the graph": found.valid,
                "escaped": len(found.escaped),
                "slowest ms": round(1000 * found.slowest),
                "MiB": round(done.mebibytes),
            }
            for number, error in list(found.escaped.items())[:5]:
                print(f"{kind} {number}: {error!r}", flush=True)

    print_table(results())


if __name__ == "__main__":
    app.run(main)
