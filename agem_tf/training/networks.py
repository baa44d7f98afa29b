"""Building the recipe's network, running it on tuples, its first whitening."""

import dataclasses
import functools
import logging
import pathlib
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from agem_tf.config import Config, ImageConfig
from agem_tf.datasets.prepared import Split
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.descriptors.whitening_learning import learn_by_method
from agem_tf.distribution.workers import from_chief, is_chief
from agem_tf.errors import UserError
from agem_tf.extraction.extractor import Extractor
from agem_tf.extraction.pyramid import ScalePyramid
from agem_tf.files.locations import is_remote
from agem_tf.files.provenance import normalize_provenance
from agem_tf.files.remote_directories import fetched
from agem_tf.models import DELF, AGeM
from agem_tf.models.presets import HUB, is_preset, open_preset
from agem_tf.training.checkpoints import load_variables
from agem_tf.training.runs import load_best_model, model_class
from agem_tf.training.step import Tensors
from agem_tf.training.workdir import WHITENING_START, read_recipe
from agem_tf.weights.keras_files import load_keras_model, saved_class

_LOG = logging.getLogger(__name__)


def create_model(config: Config) -> AGeM:
    """Builds the recipe's network.

    Raises:
        UserError: Its parts do not fit together.
    """
    options = dataclasses.asdict(config.model)
    start = _open_start(config.model.weights)
    if start is not None:
        options["weights"] = None
    try:
        model = model_class(config.model)(
            **options, dtype=config.training.precision
        )
    except UserError:
        raise
    except (TypeError, ValueError) as error:
        raise UserError(
            f"The recipe's model can't be built: {error}"
        ) from error
    if start is not None:
        _start_from(start, model)
    return model


def _open_start(weights: str | None) -> AGeM | None:
    """Returns the whole network that weights name; None for a backbone's.

    Raises:
        UserError: It is damaged.
    """
    # The weights imagenet are meant even where a folder is called so.
    if not weights or weights == "imagenet":
        return None
    path = pathlib.Path(weights)
    if weights.startswith(HUB) or is_preset(path):
        return open_preset(weights)
    if is_remote(weights):
        with fetched(weights) as local:
            return _open_start(str(local))
    if path.is_dir():
        return load_best_model(path)
    if pathlib.Path(f"{weights}.index").is_file():
        config = read_recipe(path.parent.parent)
        options = dataclasses.asdict(config.model) | {"weights": None}
        network = model_class(config.model)(**options)
        load_variables(path, network.variables)
        return network
    kind = {"agem_tf>AGeM": AGeM, "agem_tf>DELF": DELF}.get(
        saved_class(path) or ""
    )
    return load_keras_model(path, kind) if kind else None


def _start_from(source: AGeM, model: AGeM) -> None:
    """Copies the weights of the layers that agree in name and shape.

    Layers that only the model has keep their random weights, like the
    attention of DELF after its backbone was trained with another pooling.

    Raises:
        UserError: The networks have different backbones.
    """
    if source.backbone != model.backbone:
        raise UserError(
            f"model.weights is a network of {source.backbone}, and "
            f"model.backbone is {model.backbone}; take the same."
        )
    unused = {layer.name: layer for layer in source.layers if layer.weights}
    new = []
    for layer in model.layers:
        twin = unused.get(layer.name)
        shapes = [weight.shape for weight in layer.weights]
        if twin and [weight.shape for weight in twin.weights] == shapes:
            layer.set_weights(twin.get_weights())
            del unused[layer.name]
        elif layer.weights:
            new.append(layer.name)
    _LOG.info(
        "Started from %s; layers with new weights: %s; not used: %s",
        source.name,
        ", ".join(new) or "none",
        ", ".join(unused) or "none",
    )


def training_networks(
    model: AGeM,
    image: ImageConfig,
    trained: Sequence[keras.Variable],
    rescale: Sequence[float] = (),
    remat: bool = False,
    start: AGeM | None = None,
) -> list[Callable[[Tensors], Tensors]]:
    """Returns the network as it is trained, once per factor of `rescale`.

    A `DELF` gives its pooled features without their L2 norm, as published: the
    classifier may use how much the attention finds in a photo. A network with
    a local branch gives all outputs of `AGeM.joint_network`.

    Batch normalization sees the batch of all replicas. On one device too:
    otherwise Keras takes another formula for the variance, and gradients of
    small channels would differ by a percent between strategies.

    Args:
        model: The model.
        image: How photos are resized and padded.
        trained: The variables that are trained; batch normalizations without
            any are folded into their convolutions.
        rescale: Factors on the sides of the photos; none for 1 only.
        remat: Whether activations are computed again for the gradients.
        start: The model before training, whose descriptors are another output,
            "start_descriptors".
    """
    network = None
    if isinstance(model, DELF):
        network = model.pooled_network()
    elif model.local_dimension:
        network = model.joint_network()
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True
    networks = []
    for scale in rescale or (1.0,):
        trained_one = ScalePyramid(
            model, image, (scale,), trained, network, remat
        )
        frozen = start and ScalePyramid(start, image, (scale,))
        networks.append(functools.partial(_train_with, trained_one, frozen))
    return networks


def _train_with(
    trained: ScalePyramid, start: ScalePyramid | None, batch: Tensors
) -> Tensors:
    images = tf.reshape(batch["image"], (-1, *batch["image"].shape[2:]))
    valid = tf.reshape(batch["valid"], (-1, 2))
    outputs = trained.descriptors(images, valid, training=True)
    if not isinstance(outputs, dict):
        outputs = {"descriptors": outputs}
    if start:
        outputs = outputs | {
            "start_descriptors": start.descriptors(images, valid)
        }
    photos = batch["image"].shape[1]
    return {
        name: tf.reshape(rows, (-1, photos, *rows.shape[1:]))
        for name, rows in outputs.items()
    }


def start_whitening(
    model: AGeM,
    split: Split,
    workdir: str | pathlib.Path,
    config: Config,
    strategy: tf.distribute.Strategy,
) -> None:
    """Sets a model's whitening layer to learned whitening.

    It is kept in the workdir, so that a resumed run does not learn it again.

    The published networks that end in a linear layer ("-w") start so: from a
    random layer, the low learning rate of fine-tuning would never find a
    whitening. The layer of a regional network is applied to regions, but starts
    from the descriptors of whole photos (interpretation).

    Args:
        model: A model with a whitening layer; its other weights stay.
        split: Labelled photos to learn the whitening from.
        workdir: Directory of the run, for the whitening and the descriptors
            that it is learned from.
        config: The recipe, for the settings of extraction.
        strategy: Strategy under which the model was created.

    Raises:
        UserError: No landmark has two photos, or the layer has more dimensions
            than the pooled descriptor.

    Reference:
        [Radenovic et al., 2018](https://arxiv.org/abs/1711.02512)
    """
    if model.regional:
        layer = model.get_layer("pooling").whitening
    else:
        layer = model.get_layer("whitening")
    with strategy.scope():
        # Learned in float32, whatever the precision of the model.
        plain = type(model).from_config(
            model.get_config() | {"whitening_dimension": 0, "dtype": "float32"}
        )
        whitening = {id(weight) for weight in layer.weights}
        kept = [each for each in model.weights if id(each) not in whitening]
        plain.set_weights([weight.numpy() for weight in kept])
    if model.whitening_dimension > plain.dimension:
        raise UserError(
            f"model.whitening_dimension is {model.whitening_dimension}, but "
            f"the pooled descriptor has only {plain.dimension}; lower it."
        )
    extractor = Extractor(plain, config.image, config.extraction, strategy)
    path = pathlib.Path(workdir, WHITENING_START)
    made = normalize_provenance(extractor.provenance(split))
    kept = path.exists() and LinearWhitening.load(path).provenance == made
    if from_chief(np.int32(kept), strategy):
        learned = LinearWhitening.load(path)
    else:
        descriptors = extractor.write(
            pathlib.Path(workdir, "descriptors", "before_whitening"), split
        )
        learned = learn_by_method(
            "learned", descriptors, split.labels, pairs=split.pairs
        )
        if is_chief(strategy):
            learned.save(path)
    layer.set_from(
        from_chief(learned.mean, strategy),
        from_chief(learned.projection, strategy),
    )
