"""Building the recipe's network, running it on tuples, its first whitening."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from agem_tf.config import Config, ImageConfig
from agem_tf.datasets.prepared import Split
from agem_tf.descriptors.whitening_learning import learn_by_method
from agem_tf.distribution.workers import from_chief
from agem_tf.errors import UserError
from agem_tf.extraction.extractor import Extractor
from agem_tf.extraction.pyramid import ScalePyramid
from agem_tf.models import AGeM
from agem_tf.training.step import Tensors


def create_model(config: Config) -> AGeM:
    """Builds the recipe's network.

    Raises:
        UserError: Its parts do not fit together.
    """
    try:
        return AGeM(
            **dataclasses.asdict(config.model),
            dtype=config.training.precision,
        )
    except UserError:
        raise
    except (TypeError, ValueError) as error:
        raise UserError(
            f"The recipe's model can't be built: {error}"
        ) from error


def training_network(
    model: AGeM, image: ImageConfig, trained: Sequence[keras.Variable]
) -> Callable[[Tensors], Tensors]:
    """Returns the network as it is trained: the `network` of a `TrainingStep`.

    Batch normalization sees the batch of all replicas. On one device too:
    otherwise Keras takes another formula for the variance, and gradients of
    small channels would differ by a percent between strategies.

    Args:
        model: The model.
        image: How photos are resized and padded.
        trained: The variables that are trained; batch normalizations without
            any are folded into their convolutions.
    """
    pyramid = ScalePyramid(model, image, trained=trained)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True

    def run(batch: Tensors) -> Tensors:
        images, valid = batch["image"], batch["valid"]
        descriptors = pyramid.descriptors(
            tf.reshape(images, (-1, *images.shape[2:])),
            tf.reshape(valid, (-1, 2)),
            training=True,
        )
        shape = (-1, images.shape[1], descriptors.shape[-1])
        return {"descriptors": tf.reshape(descriptors, shape)}

    return run


def start_whitening(
    model: AGeM,
    split: Split,
    directory: str | pathlib.Path,
    config: Config,
    strategy: tf.distribute.Strategy,
) -> None:
    """Sets a model's whitening layer to learned whitening.

    The published networks that end in a linear layer ("-w") start so: from a
    random layer, the low learning rate of fine-tuning would never find a
    whitening. The layer of a regional network is applied to regions, but starts
    from the descriptors of whole photos (interpretation).

    Args:
        model: A model with a whitening layer; its other weights stay.
        split: Labelled photos to learn the whitening from.
        directory: Directory to keep their descriptors in.
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
        plain = AGeM.from_config(
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
    descriptors = extractor.write(directory, split)
    learned = learn_by_method(
        "learned", descriptors, split.labels, pairs=split.pairs
    )
    layer.set_from(
        from_chief(learned.mean, strategy),
        from_chief(learned.projection, strategy),
    )
