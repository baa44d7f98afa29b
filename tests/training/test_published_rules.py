"""A whole training equals the published rules, written out one photo at a time.

The loop below is in double precision and knows nothing of the package: pairs
and photos come from the download, the weights by their names.
"""

import math
import pickle

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from agem_tf import config
from agem_tf.datasets.preparation import prepare
from agem_tf.extraction.uses import UseExtractors
from agem_tf.training.networks import create_model
from agem_tf.training.trainer import Trainer

MARGIN, NEGATIVES, EPOCHS = 0.85, 2, 3
# Larger than published, so that each rule shows; and an epsilon above the
# rounding errors of gradients, which Adam would make whole steps of.
RATE, DECAY, WEIGHT_DECAY, EPSILON = 1e-4, 0.3, 0.05, 1e-6
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Network:
    """The start of a ResNet-18 up to stride 4, and GeM.

    Attributes:
        weights: the model's, by path, in double precision.
    """

    def __init__(self, model):
        self.weights = {
            variable.path: tf.Variable(variable.numpy(), dtype=tf.float64)
            for variable in model.variables
        }

    @tf.function
    def describe(self, photo):
        """(height, width, 3) in [0, 1] to (64,)."""
        x = ((photo - MEAN) / DEVIATION)[tf.newaxis]
        x = tf.nn.relu(self._convolve(x, "conv1", stride=2, padding=3))
        x = tf.nn.max_pool2d(_pad(x, 1), 3, 2, "VALID")
        for block in ("conv2_block1", "conv2_block2"):
            branch = tf.nn.relu(self._convolve(x, f"{block}_1"))
            x = tf.nn.relu(x + self._convolve(branch, f"{block}_2"))
        p = self.weights["pooling/p"]
        powers = tf.maximum(x[0], 1e-6) ** p
        pooled = tf.reduce_mean(powers, (0, 1)) ** (1 / p)
        return pooled / (tf.norm(pooled) + 1e-6)

    def _convolve(self, x, name, stride=1, padding=1):
        x = _pad(x, padding)
        kernel = self.weights[f"{name}_conv/kernel"]
        x = tf.nn.conv2d(x, kernel, stride, "VALID")
        mean, variance, gamma, beta = (
            self.weights[f"{name}_bn/{part}"]
            for part in ("moving_mean", "moving_variance", "gamma", "beta")
        )
        return (x - mean) / tf.sqrt(variance + 1e-5) * gamma + beta


def _pad(x, zeros):
    return tf.pad(x, [[0, 0], [zeros, zeros], [zeros, zeros], [0, 0]])


class Photos:
    """What a split of the download holds."""

    def __init__(self, root, split):
        content = pickle.loads((root / "retrieval-SfM-120k.pkl").read_bytes())
        part = content[split]
        self.clusters = part["cluster"]
        self.pairs = list(zip(part["qidxs"], part["pidxs"], strict=True))
        self.images = [
            _read(root / "ims" / cid[-2:] / cid[-4:-2] / cid[-6:-4] / cid)
            for cid in part["cids"]
        ]

    def descriptors(self, network):
        return [network.describe(image).numpy() for image in self.images]

    def tuples(self, descriptors):
        """Every pair with its hardest negatives among all photos."""
        return [
            (query, positive, *self._negatives(query, descriptors))
            for query, positive in self.pairs
        ]

    def _negatives(self, query, descriptors):
        similar = np.argsort([-x @ descriptors[query] for x in descriptors])
        negatives, clusters = [], {self.clusters[query]}
        for photo in similar:
            if self.clusters[photo] not in clusters:
                negatives.append(photo)
                clusters.add(self.clusters[photo])
        return negatives[:NEGATIVES]


def _read(path):
    with PIL.Image.open(path) as image:
        return np.asarray(image, np.float64) / 255


def tuple_loss(descriptors):
    """The contrastive loss of a query, its positive and its negatives."""
    query, *others = descriptors
    loss = 0.0
    for number, other in enumerate(others):
        distance = tf.sqrt(tf.reduce_sum((query - other + 1e-6) ** 2))
        if number:
            distance = tf.maximum(MARGIN - distance, 0.0)
        loss += 0.5 * distance**2
    return loss


def mean_loss(network, photos):
    descriptors = photos.descriptors(network)
    return np.mean(
        [
            tuple_loss([descriptors[i] for i in indices])
            for indices in photos.tuples(descriptors)
        ]
    )


def published_training(network, photos, unseen):
    """Trains; returns the mean losses of the epochs, seen and unseen."""
    moments = {path: (0.0, 0.0) for path in _learning(network)}
    history = []
    for epoch in range(1, EPOCHS + 1):
        sums, total = dict.fromkeys(moments, 0.0), 0.0
        for indices in photos.tuples(photos.descriptors(network)):
            with tf.GradientTape() as tape:
                loss = tuple_loss(
                    [network.describe(photos.images[i]) for i in indices]
                )
            total += float(loss)
            gradients = tape.gradient(loss, _learning(network))
            sums = {path: sums[path] + gradients[path] for path in sums}
        for path, gradient in sums.items():
            moments[path] = _step(network, path, gradient, moments[path], epoch)
        history.append((total / len(photos.pairs), mean_loss(network, unseen)))
    return history


def _learning(network):
    """All weights but the statistics of batch normalization."""
    return {
        path: weight
        for path, weight in network.weights.items()
        if "moving" not in path
    }


def _step(network, path, gradient, moments, epoch):
    """One step of Adam, the only one of its epoch; returns the moments."""
    weight = network.weights[path]
    rate = RATE * math.exp(-DECAY * epoch)
    if path == "pooling/p":
        rate *= 10
    else:
        gradient += WEIGHT_DECAY * weight
    first = 0.9 * moments[0] + 0.1 * gradient
    second = 0.999 * moments[1] + 0.001 * gradient**2
    rate *= math.sqrt(1 - 0.999**epoch) / (1 - 0.9**epoch)
    weight.assign_sub(rate * first / (tf.sqrt(second) + EPSILON))
    return first, second


@pytest.fixture
def recipe():
    recipe = config.Config(name="published")
    recipe.image = config.ImageConfig(48, "aspect", False, "lanczos3")
    recipe.model.backbone, recipe.model.weights = "resnet18_torch", None
    recipe.model.feature_map, recipe.model.attention = "C2", "none"
    recipe.loss = config.LossConfig("contrastive", {"margin": MARGIN})
    # All pairs make one step, so that no draw needs to be repeated.
    recipe.mining = config.MiningConfig(24, 32, NEGATIVES)
    recipe.training.batch_tuples, recipe.training.epochs = 24, EPOCHS
    recipe.training.select_best = "validation_loss"
    recipe.optimizer = config.OptimizerConfig(
        RATE,
        DECAY,
        [
            config.OptimizerRule("pooling*/p", 10.0),
            config.OptimizerRule("*", weight_decay=WEIGHT_DECAY),
        ],
        EPSILON,
    )
    return config.validate(recipe)


@pytest.fixture
def model(recipe):
    """With statistics that are not those of a new layer."""
    tf.keras.utils.set_random_seed(0)
    model, rng = create_model(recipe), np.random.default_rng(0)
    for variable in model.variables:
        if "_bn/" in variable.path:
            low, high = (-0.3, 0.3) if "mean" in variable.path else (0.5, 1.5)
            variable.assign(rng.uniform(low, high, variable.shape))
    return model


def test_weights_are_those_of_the_published_rules(
    recipe, model, sfm_download, tmp_path
):
    network = Network(model)
    before = {path: x.numpy() for path, x in network.weights.items()}
    expected = published_training(
        network, Photos(sfm_download, "train"), Photos(sfm_download, "val")
    )
    source = {"source": str(sfm_download)}
    dataset = prepare("retrieval_sfm_120k", tmp_path / "data", source)
    strategy = tf.distribute.get_strategy()
    extractors = UseExtractors(recipe, model, strategy)
    history = Trainer(
        recipe, tmp_path, dataset, model, extractors, strategy
    ).train()
    for variable in model.variables:
        after = network.weights[variable.path].numpy()
        np.testing.assert_allclose(
            variable.numpy(), after, rtol=0, atol=1e-5, err_msg=variable.path
        )
        moved = np.abs(after - before[variable.path]).max()
        assert (moved > RATE) == (variable.path in _learning(network))
    np.testing.assert_allclose(
        [(row["train_loss"], row["validation_loss"]) for row in history],
        expected,
        rtol=1e-4,
    )
