"""Benchmark a training step with and without folded batch normalizations.

    python experiments/benchmarks/training_speed.py

Forward and backward pass of 5 tuples of 7 photos, with gradients for all
weights. The convolutions are the same and are the lower bound.
"""

from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from measuring import measure, print_table

from agem_tf.extraction.folding import folded
from agem_tf.models import AGeM

_BACKBONES = flags.DEFINE_multi_string(
    "backbone", ["efficientnet_lite0", "resnet50"], "Backbone; may be repeated."
)
_PHOTOS = flags.DEFINE_integer("photos", 35, "Photos per step.")
_SIZE = flags.DEFINE_integer("size", 128, "Side of the photos in pixels.")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Steps; the fastest is reported.")


def main(argv: list[str]) -> None:
    """Prints the table."""
    del argv
    print_table(row for name in _BACKBONES.value for row in _rows(name))


def _rows(backbone: str) -> Iterator[dict[str, object]]:
    keras.utils.set_random_seed(0)
    model = AGeM(backbone)
    shape = (_PHOTOS.value, _SIZE.value, _SIZE.value, 3)
    photos = tf.constant(np.random.default_rng(0).uniform(0, 255, shape))
    weights = model.trainable_variables
    steps = {
        "as Keras": _step(model, model, photos),
        "folded": _step(model, folded(model, weights), photos),
    }
    for step in steps.values():
        step()  # Compiles.
    measured = {n: measure(step, _REPEATS.value) for n, step in steps.items()}
    for name, each in measured.items():
        share = each.cpu_seconds / measured["as Keras"].cpu_seconds
        yield {
            "backbone": backbone,
            "way": name,
            "of Keras' CPU time": f"{share:.2f}",
        }


def _step(
    model: AGeM, network: keras.Model, photos: tf.Tensor
) -> Callable[[], float]:
    weights = tf.random.normal(network.output_shape[1:])

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            descriptors = network(photos, training=True)
            loss = tf.reduce_sum(weights * descriptors)
        values = [variable.value for variable in model.trainable_variables]
        return [tf.reduce_sum(g) for g in tape.gradient(loss, values)]

    return lambda: float(tf.add_n(gradients()))


if __name__ == "__main__":
    app.run(main)
