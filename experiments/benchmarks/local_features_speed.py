"""Local features per second against the bare network.

    python experiments/benchmarks/local_features_speed.py efficientnet_lite0

DELF's extraction of 1000 features from photos of 512 x 384 pixels at seven
scales, and the same network on the same scaled photos without anything else:
no selection, no suppression, no PCA. Photos are in memory. The extraction
should have at least 80 % of the network's throughput.
"""

import functools
import sys

import numpy as np
import tensorflow as tf
from measuring import measure, print_table

from agem_tf.config import ImageConfig
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.extraction.local_extractor import (
    DELF_SCALES,
    DelfExtractor,
    checked_local_provenance,
)
from agem_tf.models import DELF

PHOTOS, HEIGHT, WIDTH, REPEATS = 8, 384, 512, 3


def rows(backbones):
    """Yields the throughput of each backbone, per way."""
    rng = np.random.default_rng(0)
    shape = (HEIGHT, WIDTH, 3)
    photos = [rng.integers(0, 256, shape, np.uint8) for _ in range(PHOTOS)]
    image = ImageConfig(size=WIDTH)
    for backbone in backbones:
        model = DELF(backbone)
        made = checked_local_provenance(model, image, DELF_SCALES)
        dimension = model.dimension
        projection = rng.normal(size=(40, dimension)) / dimension
        pca = LinearWhitening(np.zeros(dimension), projection, "pca", made)
        extractor = DelfExtractor(model, image, whitening=pca)
        network = tf.function(model.local_network(), reduce_retracing=True)
        scaled = [
            tf.image.resize(
                tf.cast(photo, tf.float32)[tf.newaxis],
                [int(HEIGHT * scale), int(WIDTH * scale)],
            )
            for photo in photos
            for scale in DELF_SCALES
        ]

        def bare(network=network, scaled=scaled):
            for images in scaled:
                network(images)["scores"].numpy()

        ways = {
            "network": bare,
            "features": functools.partial(extractor.features, photos),
        }
        seconds = {}
        for way, call in ways.items():
            call()  # Compiles.
            seconds[way] = measure(call, REPEATS).cpu_seconds
        yield {
            "backbone": backbone,
            "network, CPU s per photo": f"{seconds['network'] / PHOTOS:.2f}",
            "features, CPU s per photo": f"{seconds['features'] / PHOTOS:.2f}",
            "of the network": f"{seconds['network'] / seconds['features']:.2f}",
        }


if __name__ == "__main__":
    print_table(rows(sys.argv[1:]))
