"""The programs of a recipe that a replica runs, lowered to StableHLO.

They are the very steps of training and extraction, so that the compiler's
verdict holds for a run. Weights are random: no program depends on their values.
"""

import copy
import dataclasses
import functools
import importlib.metadata
import re
from collections.abc import Callable

import tensorflow as tf

from agem_tf.config import USES, Config
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.distribution.batches import (
    check_for_tpu,
    divide_batch,
    share_of_part,
)
from agem_tf.errors import UserError, cause
from agem_tf.extraction.extractor import Extractor
from agem_tf.extraction.uses import UseExtractors
from agem_tf.models import AGeM
from agem_tf.photos import canvases
from agem_tf.training.networks import create_model, training_networks
from agem_tf.training.optimizers import RuleOptimizer
from agem_tf.training.step import TrainingStep
from agem_tf.training.tasks import create_task
from agem_tf.training.tasks.tuples import TupleLoss

_COPY = re.compile(r"\s*(%\w+) = mhlo\.copy (%\w+(?:#\d+)?) ")
_VALUE = re.compile(r"%\w+(?:#\d+)?")
_DEFINED = re.compile(r"\s*(%\w+)(?::\d+)? = ")


class NotLoweredError(Exception):
    """TensorFlow can't lower a program; the message says why."""


@dataclasses.dataclass(frozen=True)
class Program:
    """A step, for batches of any size.

    Attributes:
        name: Name, for example "training 384x384".
        unit: Unit of a batch: "tuples" or "photos".
        photos_per_unit: Photos per unit; 1 for photos.
        batch: Units per replica in the recipe.
        lower: Maps units per replica to StableHLO; raises NotLoweredError.
        multiple: Batches per replica are multiples of it: the parts of
            `training.accumulate_steps`.
    """

    name: str
    unit: str
    photos_per_unit: int
    batch: int
    lower: Callable[[int], str]
    multiple: int = 1


class RecipePrograms:
    """Lowers the programs of a recipe for one replica.

    Args:
        config: A validated recipe.

    Raises:
        UserError: Its shapes are not static, its parts do not fit together, its
            loss needs a dataset that is not prepared, or TensorFlow is that
            for TPUs.
    """

    def __init__(self, config: Config):
        _check_tensorflow()
        check_for_tpu(config)
        self._config = copy.deepcopy(config)
        self._config.model.weights = None
        strategy = tf.distribute.get_strategy()
        model = create_model(self._config)
        loss, variables = _learning(config, model)
        optimizer = RuleOptimizer(
            config.optimizer,
            [*model.trainable_variables, *variables],
            stages=model.stage_variables(),
        )
        networks = training_networks(
            model,
            config.image,
            optimizer.trainable_variables,
            config.training.rescale,
            config.training.remat,
        )
        self._training = TrainingStep(
            networks,
            loss,
            optimizer,
            strategy,
            parts=config.training.accumulate_steps,
        )
        extractors = UseExtractors(config, model, strategy)
        # Extractor -> the first of the uses that share it, and its canvases.
        self._uses: dict[Extractor, tuple[str, list[tuple[int, int]]]] = {}
        for use in USES if config.training.epochs else ("test",):
            image, _ = canvases.settings_of(config, use)
            sizes = list(map(tuple, image.buckets))
            self._uses.setdefault(
                extractors.of_use(use),
                (use, sizes or [canvases.largest_canvas(image)]),
            )

    def for_replicas(self, replicas: int) -> list[Program]:
        """Returns the programs of one of `replicas` that share a batch.

        Raises:
            UserError: A batch of the recipe does not divide.
        """
        programs = [
            self._extraction(canvas, replicas, use, extractor)
            for extractor, (use, sizes) in self._uses.items()
            for canvas in sizes
        ]
        if self._config.training.epochs:
            scales = self._config.training.rescale or (1.0,)
            programs = [
                self._training_program(replicas, number, scale)
                for number, scale in enumerate(scales)
            ] + programs
        return programs

    def _training_program(
        self, replicas: int, number: int, scale: float
    ) -> Program:
        config = self._config
        parts = config.training.accumulate_steps
        height, width = canvases.largest_canvas(config.image)
        photos = 1
        if not config.loss.classifies:
            photos = 2 + config.mining.num_negatives

        def step(image, valid, landmark):
            return self._training.replica_step(
                {"image": image, "valid": valid, "landmark": landmark}, number
            )

        def lower(batch: int) -> str:
            return _stablehlo(
                step,
                tf.TensorSpec((batch, photos, height, width, 3), tf.uint8),
                tf.TensorSpec((batch, photos, 2), tf.int32),
                tf.TensorSpec((batch, photos), tf.int32),
            )

        return Program(
            f"training {height}x{width}"
            + (f" at {scale:g}" if scale != 1.0 else ""),
            "tuples",
            photos,
            share_of_part(config, replicas) * parts,
            functools.cache(lower),
            parts,
        )

    def _extraction(
        self,
        canvas: tuple[int, int],
        replicas: int,
        use: str,
        extractor: Extractor,
    ) -> Program:
        def step(image, valid):
            return extractor.replica_step(
                {"image": image, "valid": valid}, tf.constant(0.0)
            )

        def lower(batch: int) -> str:
            return _stablehlo(
                step,
                tf.TensorSpec((batch, *canvas, 3), tf.uint8),
                tf.TensorSpec((batch, 2), tf.int32),
            )

        name = "extraction.batch_size"
        title = "extraction" if len(self._uses) == 1 else use
        return Program(
            "{} {}x{}".format(title, *canvas),
            "photos",
            1,
            divide_batch(self._config.extraction.batch_size, replicas, name),
            functools.cache(lower),
        )


def without_copies(module: str) -> str:
    """Replaces each `mhlo.copy` in a StableHLO text by its operand.

    TensorFlow emits a copy for every variable that is read and assigned. It is
    the identity, and not part of StableHLO, so that other compilers refuse it.
    The names in a region, such as the body of a loop, are given to other values
    after it.
    """
    originals: dict[str, str] = {}
    lines = []
    for line in module.splitlines():
        if match := _DEFINED.match(line):
            originals.pop(match[1], None)
        named = _VALUE.sub(lambda name: originals.get(name[0], name[0]), line)
        if match := _COPY.match(named):
            originals[match[1]] = match[2]
        else:
            lines.append(named)
    return "\n".join(lines)


def _check_tensorflow() -> None:
    """Checks for TensorFlow for TPUs, which lowers only on a TPU."""
    try:
        importlib.metadata.version("tensorflow-tpu")
    except importlib.metadata.PackageNotFoundError:
        return
    raise UserError(
        "TensorFlow for TPUs lowers programs only on a TPU; run this with the "
        "packages of requirements.txt in another environment."
    )


def _learning(config: Config, model: AGeM):
    """Returns the loss, and the variables trained beside the model."""
    if not config.loss.classifies:
        return TupleLoss(config), ()
    if not config.data.directory:
        raise UserError(
            f"Loss {config.loss.name} has as many classes as the dataset has "
            "landmarks; name a prepared one with --set data.directory=DATA."
        )
    dataset = PreparedDataset(config.data.directory)
    task = create_task(config, dataset, model)
    return task.loss, task.variables


def _stablehlo(step: Callable, *inputs: tf.TensorSpec) -> str:
    compiled = tf.function(step, jit_compile=True)
    try:
        generate = compiled.experimental_get_compiler_ir(*inputs)
        return without_copies(generate(stage="stablehlo"))
    except (tf.errors.OpError, TypeError, ValueError) as error:
        raise NotLoweredError(cause(error)) from error
