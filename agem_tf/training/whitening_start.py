"""Starts the whitening layer of a network from learned whitening.

The published networks that end in a linear layer ("-w") begin so: from a random
layer, the low learning rate of fine-tuning would never find a whitening.
Reference: Radenovic, Tolias and Chum (https://arxiv.org/abs/1711.02512).
"""

import pathlib

import tensorflow as tf

from agem_tf.config import Config
from agem_tf.datasets.prepared import Split
from agem_tf.descriptors.whitening_learning import learn_by_method
from agem_tf.distribution.workers import from_chief
from agem_tf.errors import UserError
from agem_tf.extraction.extractor import Extractor
from agem_tf.layers import Whitening
from agem_tf.models import AGeM


def start_whitening(
    model: AGeM,
    split: Split,
    directory: str | pathlib.Path,
    config: Config,
    strategy: tf.distribute.Strategy,
) -> None:
    """Sets a model's whitening layer from the photos of a split.

    The layer of a regional network works on regions, but it starts from the
    descriptors of whole photos (interpretation).

    Args:
        model: with a whitening layer; its other weights stay.
        split: photos with landmarks to learn from.
        directory: keeps the descriptors that were learned from.
        config: the recipe, for how photos are described.
        strategy: under which the model was made.

    Raises:
        UserError: no landmark has two photos, or the layer has more dimensions
            than the pooled descriptor.
    """
    with strategy.scope():
        plain = _without_whitening(model)
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
    _whitening_layer(model).set_from(
        from_chief(learned.mean, strategy),
        from_chief(learned.projection, strategy),
    )


def _without_whitening(model: AGeM) -> AGeM:
    """A network of its own, with the weights of what comes before."""
    plain = AGeM.from_config(model.get_config() | {"whitening_dimension": 0})
    whitening = {id(weight) for weight in _whitening_layer(model).weights}
    kept = [weight for weight in model.weights if id(weight) not in whitening]
    plain.set_weights([weight.numpy() for weight in kept])
    return plain


def _whitening_layer(model: AGeM) -> Whitening:
    if model.regional:
        return model.get_layer("pooling").whitening
    return model.get_layer("whitening")
