"""Peak memory of an exported model while it gets 16 photo bombs at once.

    python experiments/benchmarks/photo_bombs.py

A bomb is a small PNG of many pixels. Those of 400 megapixels are refused by
their status; those of 100 megapixels are the largest that are decoded, with
1 bit per pixel and with 4 channels of 16 bits. The peak is that of the process
so far, with what TensorFlow and the network hold.
"""

import pathlib
import resource
import struct
import tempfile
import zlib

import tensorflow as tf
from absl import app

from agem_tf.config import ExtractionConfig, ImageConfig
from agem_tf.models import AGeM
from agem_tf.saved_models.retrieval_model import export_model

_BOMBS = 16


def main(_) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory, "model")
        export_model(AGeM(), path, ImageConfig(), ExtractionConfig())
        serve = tf.saved_model.load(str(path)).signatures["encoded_images"]
    bombs = [(20_000, False), (10_000, False), (10_000, True)]
    serve(encoded_images=tf.constant([_bomb(100, False), _bomb(100, True)]))
    for side, is_deep in bombs:
        bomb = _bomb(side, is_deep)
        before = _peak_bytes()
        status = serve(encoded_images=tf.constant([bomb] * _BOMBS))["status"]
        print(
            f"{_BOMBS} PNGs of {side * side // 10**6} megapixels, "
            f"{'4 times 16 bits' if is_deep else '1 bit'} each "
            f"({len(bomb) / 1e6:.2f} MB each): status "
            f"{sorted(set(status.numpy().tolist()))}, peak from "
            f"{before / 1e9:.2f} to {_peak_bytes() / 1e9:.2f} GB"
        )


def _bomb(side: int, is_deep: bool) -> bytes:
    """Encodes zeros, row by row, so that this needs no memory."""
    row = bytes(1 + (8 * side if is_deep else -(-side // 8)))
    depth, colours = (16, 6) if is_deep else (1, 0)
    compressor = zlib.compressobj(9)
    pixels = b"".join(compressor.compress(row) for _ in range(side))
    header = struct.pack(">IIBBBBB", side, side, depth, colours, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in (
            (b"IHDR", header),
            (b"IDAT", pixels + compressor.flush()),
            (b"IEND", b""),
        )
    )


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    app.run(main)
