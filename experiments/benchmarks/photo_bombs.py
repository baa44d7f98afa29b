"""Peak memory of an exported model while it gets 16 photo bombs at once.

    python experiments/benchmarks/photo_bombs.py

A bomb is a small PNG of many pixels. Those of 400 megapixels are refused by
their status; those of 100 megapixels are the largest that are decoded. The peak
is that of the process, without what TensorFlow and the network held before.
"""

import io
import pathlib
import resource
import tempfile

import PIL.Image
import tensorflow as tf
from absl import app

from agem_tf.config import ExtractionConfig, ImageConfig
from agem_tf.models import AGeM
from agem_tf.saved_models.retrieval_model import export_model

_BOMBS = 16


def main(_) -> None:
    PIL.Image.MAX_IMAGE_PIXELS = None
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory, "model")
        export_model(AGeM(), path, ImageConfig(), ExtractionConfig())
        serve = tf.saved_model.load(str(path)).signatures["encoded_images"]
    bombs = {side: _bomb(side) for side in (20_000, 10_000)}
    serve(encoded_images=tf.constant([_bomb(100)]))
    for side, bomb in bombs.items():
        before = _peak_bytes()
        status = serve(encoded_images=tf.constant([bomb] * _BOMBS))["status"]
        print(
            f"{_BOMBS} PNGs of {side * side // 10**6} megapixels "
            f"({len(bomb) / 1e6:.2f} MB each): status "
            f"{sorted(set(status.numpy().tolist()))}, peak from "
            f"{before / 1e9:.2f} to {_peak_bytes() / 1e9:.2f} GB"
        )


def _bomb(side: int) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("1", (side, side)).save(buffer, "PNG", compress_level=9)
    return buffer.getvalue()


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    app.run(main)
