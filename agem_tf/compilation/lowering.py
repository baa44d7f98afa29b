"""The programs of a recipe that a replica runs, as StableHLO.

They are the steps of training and extraction themselves, so that what a
compiler says of them holds for a run. Weights are random: no program depends
on their values.
"""

import copy
import dataclasses
import functools
import importlib.metadata
import re
from collections.abc import Callable

import tensorflow as tf

from agem_tf.config import Config
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.distribution.batches import check_static_shapes, divide
from agem_tf.errors import UserError, cause
from agem_tf.extraction.extractor import Extractor
from agem_tf.models import AGeM
from agem_tf.photos import canvases
from agem_tf.training.networks import create_model, training_network
from agem_tf.training.optimizers import RuleOptimizer
from agem_tf.training.step import TrainingStep
from agem_tf.training.tasks import create_task
from agem_tf.training.tasks.tuples import TupleLoss

_COPY = re.compile(r"\s*(%\w+) = mhlo\.copy (%\w+(?:#\d+)?) ")
_VALUE = re.compile(r"%\w+(?:#\d+)?")


class NotLoweredError(Exception):
    """TensorFlow can't hand a program to the compiler; the message says why."""


@dataclasses.dataclass(frozen=True)
class Program:
    """A step, for batches of any size.

    Attributes:
        name: such as "training 384x384".
        unit: what a batch is of: "tuples" or "photos".
        photos_per_unit: 1 if of photos.
        batch: units a replica, as the recipe says.
        lower: maps units a replica to StableHLO; raises NotLoweredError.
    """

    name: str
    unit: str
    photos_per_unit: int
    batch: int
    lower: Callable[[int], str]


class RecipePrograms:
    """Lowers what a recipe runs on each replica.

    Args:
        config: a validated recipe.

    Raises:
        UserError: its shapes are not static, its parts do not fit together, its
            loss needs a dataset that is not prepared, or TensorFlow is the one
            for TPUs.
    """

    def __init__(self, config: Config):
        _check_tensorflow()
        check_static_shapes(config)
        self._config = copy.deepcopy(config)
        self._config.model.weights = None
        strategy = tf.distribute.get_strategy()
        model = create_model(self._config)
        loss, variables = _learning(config, model)
        optimizer = RuleOptimizer(
            config.optimizer, [*model.trainable_variables, *variables]
        )
        network = training_network(
            model, config.image, optimizer.trainable_variables
        )
        self._training = TrainingStep(network, loss, optimizer, strategy)
        self._extractor = Extractor(
            model, config.image, config.extraction, strategy
        )

    def of_a_replica(self, replicas: int) -> list[Program]:
        """Returns the programs, with the batches of one of `replicas`.

        Raises:
            UserError: a batch of the recipe does not divide.
        """
        extracting = [
            self._extraction(canvas, replicas) for canvas in self._canvases()
        ]
        if not self._config.training.epochs:
            return extracting
        return [self._training_on_tuples(replicas), *extracting]

    def _canvases(self) -> list[tuple[int, int]]:
        image = self._config.image
        return list(map(tuple, image.buckets)) or [
            canvases.largest_canvas(image)
        ]

    def _training_on_tuples(self, replicas: int) -> Program:
        config = self._config
        height, width = canvases.largest_canvas(config.image)
        photos = 1
        if not config.loss.classifies:
            photos = 2 + config.mining.num_negatives

        def step(image, valid, landmark):
            return self._training.replica_step(
                {"image": image, "valid": valid, "landmark": landmark}
            )

        def lower(batch: int) -> str:
            return _stablehlo(
                step,
                _pixels(batch, photos, height, width, 3),
                _integers(batch, photos, 2),
                _integers(batch, photos),
            )

        return Program(
            f"training {height}x{width}",
            "tuples",
            photos,
            divide(
                config.training.batch_tuples, replicas, "training.batch_tuples"
            ),
            functools.cache(lower),
        )

    def _extraction(self, canvas: tuple[int, int], replicas: int) -> Program:
        def step(image, valid, power):
            return self._extractor.replica_step(
                {"image": image, "valid": valid}, power
            )

        def lower(batch: int) -> str:
            return _stablehlo(
                step,
                _pixels(batch, *canvas, 3),
                _integers(batch, 2),
                tf.TensorSpec((), tf.float32),
            )

        return Program(
            "extraction {}x{}".format(*canvas),
            "photos",
            1,
            divide(
                self._config.extraction.batch_size,
                replicas,
                "extraction.batch_size",
            ),
            functools.cache(lower),
        )


def without_copies(module: str) -> str:
    """Replaces each `mhlo.copy` of StableHLO's text by what it copies.

    TensorFlow writes a copy for each variable that is read and assigned. It is
    the identity, and no operation of StableHLO, so other compilers refuse it.
    """
    originals: dict[str, str] = {}
    lines = []
    for line in module.splitlines():
        named = _VALUE.sub(lambda name: originals.get(name[0], name[0]), line)
        if match := _COPY.match(named):
            originals[match[1]] = match[2]
        else:
            lines.append(named)
    return "\n".join(lines)


def _check_tensorflow() -> None:
    """TensorFlow for TPUs lowers for a TPU that is there, and nothing else."""
    try:
        importlib.metadata.version("tensorflow-tpu")
    except importlib.metadata.PackageNotFoundError:
        return
    raise UserError(
        "TensorFlow for TPUs needs one to lower programs; run this with the "
        "packages of requirements.txt, in another environment."
    )


def _learning(config: Config, model: AGeM):
    """Returns the loss, and the variables that learn beside the model."""
    if not config.loss.classifies:
        return TupleLoss(config), ()
    if not config.data.directory:
        raise UserError(
            f"Loss {config.loss.name} has as many classes as the dataset has "
            "landmarks; name a prepared one with --set data.directory=DATA."
        )
    dataset = PreparedDataset(config.data.directory)
    task = create_task(config, dataset, model.dimension)
    return task.loss, task.variables


def _pixels(*shape: int) -> tf.TensorSpec:
    return tf.TensorSpec(shape, tf.uint8)


def _integers(*shape: int) -> tf.TensorSpec:
    return tf.TensorSpec(shape, tf.int32)


def _stablehlo(step: Callable, *inputs: tf.TensorSpec) -> str:
    compiled = tf.function(step, jit_compile=True)
    try:
        generate = compiled.experimental_get_compiler_ir(*inputs)
        return without_copies(generate(stage="stablehlo"))
    except (tf.errors.OpError, TypeError, ValueError) as error:
        raise NotLoweredError(cause(error)) from error
