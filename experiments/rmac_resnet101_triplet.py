"""R-MAC on ResNet-101 with whitened regions and triplets: "DIR".

Paper: Gordo, Almazan, Revaud and Larlus, "End-to-end learning of deep visual
representations for image retrieval" (https://arxiv.org/abs/1610.07940).

Command: see gem_resnet101_sfm120k.py, the parent.
Hardware, time and score: not run yet. Published for training on the cleaned
Neural Codes landmarks, in percent of mAP:

           ROxford-M  RParis-M  ROxford-H  RParis-H
    R-MAC       60.9      78.9       32.4      59.4

Differs from its parent in the loss and the pooling, where a layer whitens the
maxima of regions before they are summed. The paper trains on other photos with
another optimizer, so these are interpretation: training set, optimizer, rates,
pool and image size of the parent; a layer initialized with learned whitening in
place of PCA; and the whole map as a region in addition to the grid.
"""

import gem_resnet101_sfm120k

from agem_tf.config import Config, LossConfig, OptimizerRule


def get_config() -> Config:
    """Returns the recipe; prepare the dataset first."""
    config = gem_resnet101_sfm120k.get_config()
    config.name = "rmac_resnet101_triplet"
    # Pooling by regions does not support padding.
    config.image.buckets = ()
    config.model.pooling = "mac"
    config.model.pooling_options = {}
    config.model.regional = True
    config.model.whitening_dimension = 2048
    config.loss = LossConfig("triplet", {"margin": 0.1})
    config.optimizer.rules = [OptimizerRule("*", weight_decay=1e-6)]
    return config
