"""A training step and an extraction of ResNet-101.

resnet101_speed.py and training_memory.py measure them.
"""

import dataclasses
import math
import pathlib
import sys
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from agem_tf.config import Config, ExtractionConfig
from agem_tf.extraction.extractor import Extractor
from agem_tf.models import AGeM
from agem_tf.training.graph_rewriting import keep_sums_in_loops
from agem_tf.training.networks import training_networks
from agem_tf.training.optimizers import RuleOptimizer
from agem_tf.training.step import TrainingStep
from agem_tf.training.tasks.tuples import TupleLoss

_RECIPES = pathlib.Path(__file__).parents[1]


def _recipe() -> Config:
    sys.path.insert(0, str(_RECIPES))
    import gem_resnet101_sfm120k

    config = gem_resnet101_sfm120k.get_config()
    config.model.weights = None
    # Photos are padded for TPUs only.
    config.image.buckets = ()
    return config


def _model(config: Config, dtype: str = "float32") -> AGeM:
    keras.utils.set_random_seed(0)
    return AGeM(**dataclasses.asdict(config.model), dtype=dtype)


def multiply(matrix: np.ndarray, bfloat16: bool) -> Callable[[], object]:
    """Returns a function that multiplies a matrix by itself."""
    tensor = tf.constant(matrix, tf.bfloat16 if bfloat16 else tf.float32)
    return lambda: (tensor @ tensor).numpy()


def _policy(bfloat16: bool) -> str:
    return "mixed_bfloat16" if bfloat16 else "float32"


def _limit_threads(threads: int) -> None:
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def train(
    pixels: np.ndarray,
    threads: int,
    bfloat16: bool = False,
    tuples: int = 1,
    accumulate_steps: int = 1,
    remat: bool = False,
) -> Callable[[], object]:
    """Returns the step that `agem_tf.train` takes on equal tuples.

    Args:
        pixels: The photos of a tuple, (photos, height, width, 3) uint8.
        threads: Threads of the process.
        bfloat16: Whether layers compute in bfloat16.
        tuples: Tuples per step.
        accumulate_steps: See `agem_tf.config.TrainingConfig`.
        remat: See `agem_tf.config.TrainingConfig`.
    """
    _limit_threads(threads)
    keep_sums_in_loops()
    config = _recipe()
    model = _model(config, _policy(bfloat16))
    optimizer = RuleOptimizer(config.optimizer, model.trainable_variables)
    networks = training_networks(
        model, config.image, optimizer.trainable_variables, remat=remat
    )
    step = TrainingStep(
        networks,
        TupleLoss(config),
        optimizer,
        tf.distribute.get_strategy(),
        parts=accumulate_steps,
    )
    photos, *sides = pixels.shape[:3]
    batch = {
        "image": tf.constant([pixels] * tuples),
        "valid": tf.constant([[sides] * photos] * tuples),
        "landmark": tf.constant([[0, 0, *range(1, photos - 1)]] * tuples),
    }
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
    zero = tf.constant(0.0)
    return lambda: step.run(
        batches, tf.constant(1), zero, tf.constant(False)
    ).loss.numpy()


def extract(
    pixels: np.ndarray, threads: int, bfloat16: bool = False
) -> Callable[[], object]:
    """Returns the call of `agem_tf.extract` for a batch."""
    _limit_threads(threads)
    config = _recipe()
    extractor = Extractor(
        _model(config, _policy(bfloat16)),
        config.image,
        ExtractionConfig(batch_size=1),
        tf.distribute.get_strategy(),
    )
    step = tf.function(extractor.replica_step)
    batch = {
        "image": tf.constant(pixels),
        "valid": tf.constant([pixels.shape[1:3]]),
    }
    return lambda: step(batch, tf.constant(0.0)).numpy()


def forward_operations(shape: tuple[int, int, int]) -> int:
    """Counts the multiplications and additions of all convolutions."""
    model = _model(_recipe())
    convolutions = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.Conv2D)
    ]
    maps = keras.Model(model.inputs, [each.output for each in convolutions])
    outputs = maps.compute_output_spec(keras.KerasTensor((*shape, 3)))
    return sum(
        2 * math.prod(layer.kernel.shape) * math.prod(output.shape[:3])
        for layer, output in zip(convolutions, outputs, strict=True)
    )
