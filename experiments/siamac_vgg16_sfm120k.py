"""siaMAC: max pooling of VGG16's feature map, trained in a Siamese network.

Paper: Radenovic, Tolias and Chum, "CNN image retrieval learns from BoW"
(https://arxiv.org/abs/1604.02426).

Command: see gem_resnet101_sfm120k.py, the parent of its parent.
Hardware, time and score: not run yet.

Differs from its parent, gem_vgg16_sfm120k.py, in the pooling, which has no
parameters. Margin and learning rate are those published for siaMAC; the rest is
GeM's (interpretation: siaMAC was first trained on an earlier, smaller set).
"""

import gem_vgg16_sfm120k

from agem_tf.config import Config, OptimizerRule


def get_config() -> Config:
    """Returns the recipe; prepare the dataset first."""
    config = gem_vgg16_sfm120k.get_config()
    config.name = "siamac_vgg16_sfm120k"
    config.model.pooling = "mac"
    config.model.pooling_options = {}
    config.loss.options = {"margin": 0.75}
    config.optimizer.learning_rate = 1e-6
    config.optimizer.rules = [OptimizerRule("*", weight_decay=1e-6)]
    return config
