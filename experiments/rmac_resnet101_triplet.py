"""R-MAC on ResNet-101 with whitened regions and triplets: "DIR".

Paper: Gordo, Almazan, Revaud and Larlus, "End-to-end learning of deep visual
representations for image retrieval" (https://arxiv.org/abs/1610.07940).

Command: see gem_resnet101_sfm120k.py, the parent.
Hardware, time and score: not run yet. Published for training on the cleaned
Neural Codes landmarks, in percent of mAP:

           ROxford-M  RParis-M  ROxford-H  RParis-H
    R-MAC       60.9      78.9       32.4      59.4

Differs from its parent in the pooling, regions whose maxima a layer whitens
before they are summed, and in the loss. Interpretation, for the paper trains on
other photos and with another optimizer: the training set, optimizer, rates,
pool and size of its parent; whitening learned from pairs as the start of the
layer, where the paper takes PCA; the whole map as one region more than the
grid's.
"""

import pathlib

from agem_tf.config import Config, LossConfig, OptimizerRule, loading

PARENT = pathlib.Path(__file__).with_name("gem_resnet101_sfm120k.py")


def get_config() -> Config:
    """Returns the recipe; prepare the dataset first."""
    config = loading.load(PARENT)
    config.name = "rmac_resnet101_triplet"
    # Regions are of a photo's own map, so it comes without padding.
    config.image.buckets = ()
    config.model.pooling = "mac"
    config.model.pooling_options = {}
    config.model.regional = True
    config.model.whitening_dimension = 2048
    config.loss = LossConfig("triplet", {"margin": 0.1})
    config.optimizer.rules = [OptimizerRule("*", weight_decay=1e-6)]
    return config
