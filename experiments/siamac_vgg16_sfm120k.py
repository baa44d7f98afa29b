"""siaMAC: the maximum over the map of VGG16, trained in a Siamese network.

Paper: Radenovic, Tolias and Chum, "CNN image retrieval learns from BoW"
(https://arxiv.org/abs/1604.02426).

Command: see gem_resnet101_sfm120k.py, from which its parent comes.
Hardware, time and score: not run yet.

Differs from its parent, gem_vgg16_sfm120k.py, in the pooling, which has nothing
to learn. Margin and learning rate are siaMAC's published ones; the rest is that
of GeM (interpretation: siaMAC was first trained on an earlier, smaller set).
"""

import pathlib

from agem_tf.config import Config, OptimizerRule, loading

PARENT = pathlib.Path(__file__).with_name("gem_vgg16_sfm120k.py")


def get_config() -> Config:
    """Returns the recipe; prepare the dataset first."""
    config = loading.load(PARENT)
    config.name = "siamac_vgg16_sfm120k"
    config.model.pooling = "mac"
    config.model.pooling_options = {}
    config.loss.options = {"margin": 0.75}
    config.optimizer.learning_rate = 1e-6
    config.optimizer.rules = [OptimizerRule("*", weight_decay=1e-6)]
    return config
