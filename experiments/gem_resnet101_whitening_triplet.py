"""GeM on ResNet-101 that ends in a trained whitening layer: a "-w" model.

Paper: Radenovic, Tolias and Chum (https://arxiv.org/abs/1711.02512); the models
are those of https://github.com/filipradenovic/cnnimageretrieval-pytorch.

Command: see gem_resnet101_sfm120k.py, the parent.
Hardware, time and score: not run yet. Published, in percent of mAP, at 1024
pixels and scales 1, 1.4142 and 0.7071, without a whitening after the network:

                 ROxford-M  RParis-M  ROxford-H  RParis-H
    ResNet-50         64.7      76.3       39.0      54.9
    ResNet-101        67.8      77.6       41.7      56.3
    ResNet-152        68.8      78.0       41.3      57.2

The other two networks, as published:

    --set model.backbone=resnet50_torch
    --set model.weights=weights/resnet50.pth
    --set optimizer.learning_rate=1e-6 --set mining.num_negatives=5

    --set model.backbone=resnet152_torch
    --set model.weights=weights/resnet152.pth
    --set mining.num_negatives=3 --set image.size=900

Differs from its parent in the layer, the loss, the size and the negatives. The
layer starts from the whitening learned on the pairs of the training split, at
the size and the one scale of training (interpretation: the published one came
from a file of its own).
"""

import pathlib

from agem_tf.config import Config, LossConfig, loading

PARENT = pathlib.Path(__file__).with_name("gem_resnet101_sfm120k.py")


def get_config() -> Config:
    """Returns the recipe; prepare the dataset first."""
    config = loading.load(PARENT)
    config.name = "gem_resnet101_whitening_triplet"
    config.image.size = 1024
    config.image.buckets = ((1024, 1024), (768, 1024), (1024, 768))
    config.model.whitening_dimension = 2048
    config.loss = LossConfig("triplet", {"margin": 0.5})
    config.mining.num_negatives = 4
    # Photos of a thousand pixels a side.
    config.extraction.batch_size = 4
    return config
