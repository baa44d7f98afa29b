"""Compare exports to TensorFlow Lite and ONNX with their SavedModel.

    pip install tf2onnx onnxruntime
    python experiments/benchmarks/portable_models.py --model=model \\
        --photos=photos

prints, for each format: megabytes, and over the photos the mean and the least
cosine between its descriptor and that of the SavedModel, the greatest distance
of its length from 1, and for how many photos the nearest other photo is another
one. ONNX is left out where its packages are not installed.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl import app, flags

from agem_tf.config import ImageConfig
from agem_tf.files.manifest import read_manifest
from agem_tf.photos.decoding import photo_on_canvas
from agem_tf.photos.encoding import read_encoded_photo
from agem_tf.photos.listing import list_folder
from agem_tf.saved_models.retrieval_model import KIND

_MODEL = flags.DEFINE_string("model", None, "SavedModel.", required=True)
_PHOTOS = flags.DEFINE_string("photos", None, "Folder.", required=True)
_SIGNATURE = "serving_default"

# Maps (1, height, width, 3) to (1, dimension).
Network = Callable[[np.ndarray], np.ndarray]


def tensorflow_lite(is_float16: bool) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(
        _MODEL.value, signature_keys=[_SIGNATURE]
    )
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if is_float16:
        converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


def in_tensorflow_lite(content: bytes) -> Network:
    run = tf.lite.Interpreter(model_content=content).get_signature_runner()
    return lambda images: run(images=images)["descriptors"]


def onnx() -> bytes | None:
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "model.onnx"
        arguments = ["--saved-model", _MODEL.value, "--output", str(path)]
        arguments += ["--signature_def", _SIGNATURE]
        command = [sys.executable, "-m", "tf2onnx.convert", *arguments]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            print("no ONNX:", done.stderr.splitlines()[-1])
            return None
        return path.read_bytes()


def in_onnx(content: bytes) -> Network:
    import onnxruntime

    session = onnxruntime.InferenceSession(content)
    return lambda images: session.run(["descriptors"], {"images": images})[0]


def canvas(path: str, image: ImageConfig) -> np.ndarray:
    """Returns a photo as the network sees it, without padding."""
    encoded = read_encoded_photo(path).encoded
    photo = photo_on_canvas(tf.constant(encoded), image)
    height, width = photo["valid"].numpy()
    pixels = photo["image"].numpy()[np.newaxis, :height, :width]
    return pixels.astype(np.float32)


def nearest(rows: np.ndarray) -> np.ndarray:
    """Returns the nearest other row of each row."""
    similarities = rows @ rows.T
    np.fill_diagonal(similarities, -np.inf)
    return similarities.argmax(axis=1)


def main(_: list[str]) -> None:
    made = read_manifest(pathlib.Path(_MODEL.value), KIND)["provenance"]
    image = ImageConfig(**made["image"])
    photos = [canvas(path, image) for path in list_folder(_PHOTOS.value)]
    signature = tf.saved_model.load(_MODEL.value).signatures[_SIGNATURE]
    expected = np.concatenate(
        [signature(images=tf.constant(each))["descriptors"] for each in photos]
    )
    variables = pathlib.Path(_MODEL.value, "variables")
    size = sum(os.path.getsize(path) for path in variables.iterdir())
    print(
        f"{len(photos)} photos; weights of the SavedModel {size / 1e6:.1f} MB"
    )
    formats = {
        "TensorFlow Lite, float16": (tensorflow_lite(True), in_tensorflow_lite),
        "TensorFlow Lite, int8": (tensorflow_lite(False), in_tensorflow_lite),
        "ONNX, float32": (onnx(), in_onnx),
    }
    for name, (content, opened) in formats.items():
        if content is None:
            continue
        network = opened(content)
        rows = np.concatenate([network(each) for each in photos])
        cosines = (rows * expected).sum(axis=1)
        lengths = np.linalg.norm(rows, axis=1)
        changed = (nearest(rows) != nearest(expected)).sum()
        print(
            f"{name:26} {len(content) / 1e6:5.1f} MB  cosine mean "
            f"{cosines.mean():.5f}, least {cosines.min():.5f}  length off by "
            f"{np.abs(lengths - 1).max():.1e}  other nearest {changed}"
        )


if __name__ == "__main__":
    app.run(main)
