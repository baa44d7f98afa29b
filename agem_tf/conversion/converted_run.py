"""Writes a network of PyTorch as a run of this package.

A run is the directory that `agem_tf.train` writes: a recipe and weights. Every
later command then works as for a network that was trained here.
"""

import dataclasses
import os
import pathlib

import keras
import numpy as np

from agem_tf.config import Config, ExtractionConfig, ImageConfig, ModelConfig
from agem_tf.conversion.pytorch_networks import POOLINGS, PyTorchNetwork
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.errors import UserError
from agem_tf.extraction.identity import provenance
from agem_tf.files.atomic_writing import atomic_directory
from agem_tf.files.manifest import write_manifest
from agem_tf.models import AGeM
from agem_tf.training import runs, workdir
from agem_tf.weights import torchvision

KIND = "run"
# Image size and scales at which the published networks are evaluated, and for
# which their whitenings were learned.
IMAGE = ImageConfig(1024, "aspect", enlarge=False, interpolation="lanczos3")
SCALES = {"single_scale": (1.0,), "multi_scale": (1.0, 0.7071, 0.5)}
_BATCH_SIZE = 4  # Photos of 1024 pixels a side.
_DATASET = ""  # The data set of the training is unknown.


@dataclasses.dataclass(frozen=True)
class Converted:
    """Result of a conversion.

    Attributes:
        config: Recipe of the run.
        dimension: Length of a descriptor.
        whitenings: Directory of each learned whitening, and the scales that it
            was learned for.
    """

    config: Config
    dimension: int
    whitenings: dict[pathlib.Path, tuple[float, ...]]


def write_run(
    network: PyTorchNetwork,
    directory: str | os.PathLike,
    resize_by: str = "sizes",
) -> Converted:
    """Writes a run: recipe, weights, and the whitenings that came with them.

    Args:
        network: Network read from a file of PyTorch.
        directory: Directory of the run; replaced if it holds just a conversion.
        resize_by: See `ExtractionConfig`.

    Raises:
        UserError: the tensors do not fit the network, or the directory holds
            other files.
    """
    directory, config = pathlib.Path(directory), converted_recipe(network)
    config.extraction.resize_by = resize_by
    written = {}
    with atomic_directory(directory) as temporary:
        model = _model(network, config)
        workdir.claim_workdir(temporary, config, _DATASET)
        runs.save_model(model, temporary / workdir.BEST_MODEL)
        for path, whitening in _whitenings(network, config, model).items():
            whitening.save(temporary / path)
            written[directory / path] = tuple(whitening.provenance["scales"])
        write_manifest(temporary, KIND, converted_from=network.path)
    return Converted(config, model.dimension, written)


def converted_recipe(network: PyTorchNetwork) -> Config:
    """Returns the recipe of a converted network, with no epochs."""
    pooling, options = POOLINGS[network.pooling]
    dimension = 0
    if network.whitening is not None:
        dimension = len(network.whitening.kernel)
    config = Config(name=pathlib.Path(network.path).name)
    # Without it, a command that is given no data would render its own.
    config.data.directory = "data"
    config.image = dataclasses.replace(IMAGE)
    config.model = ModelConfig(
        backbone=network.backbone,
        weights=None,
        # VGG is pooled before its last pooling layer.
        feature_map="C4" if network.backbone.startswith("vgg") else "C5",
        attention="none",
        pooling=pooling,
        pooling_options=options,
        regional=network.regional,
        whitening_dimension=dimension,
        preprocessing=dict(network.preprocessing),
    )
    config.training.epochs = 0
    config.extraction = ExtractionConfig(batch_size=_BATCH_SIZE)
    return config


def _model(network: PyTorchNetwork, config: Config) -> AGeM:
    model = AGeM(
        **dataclasses.asdict(config.model), dtype=config.training.precision
    )
    torchvision.fit_tensors(model, network.tensors, network.path)
    pooling = model.get_layer("pooling")
    if network.regional:
        pooling, whitening = pooling.pooling, pooling.whitening
    elif network.whitening is not None:
        whitening = model.get_layer("whitening")
    if network.exponent is not None:
        _assign(pooling.exponent, network.exponent, network.path)
    if network.whitening is not None:
        _assign(whitening.kernel, network.whitening.kernel.T, network.path)
        _assign(whitening.bias, network.whitening.bias, network.path)
    return model


def _assign(variable: keras.Variable, value: np.ndarray, path: str) -> None:
    """Assigns an array; PyTorch's one exponent is an array of one."""
    if variable.shape == () and value.shape == (1,):
        value = value[0]
    if tuple(variable.shape) != value.shape:
        raise UserError(
            f"{path} can't be converted: its {variable.name} is of the shape "
            f"{value.shape} where the network has {tuple(variable.shape)}."
        )
    variable.assign(value)


def _whitenings(
    network: PyTorchNetwork, config: Config, model: AGeM
) -> dict[pathlib.Path, LinearWhitening]:
    """Returns the learned whitenings by their path in the run."""
    whitenings = {}
    for data, by_scales in network.learned.items():
        for name, (mean, projection) in by_scales.items():
            if mean.size != model.dimension:
                raise UserError(
                    f"{network.path} can't be converted: its whitening of "
                    f"{data} is for descriptors of {mean.size} dimensions, "
                    f"not {model.dimension}."
                )
            extraction = dataclasses.replace(
                config.extraction, scales=SCALES[name]
            )
            path = pathlib.Path("whitening", data, name)
            whitenings[path] = LinearWhitening(
                mean,
                projection,
                "learned",
                provenance(model, config.image, extraction),
            )
    return whitenings
