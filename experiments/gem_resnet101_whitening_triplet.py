"""GeM on ResNet-101 with a trained whitening layer: a "-w" model.

Paper: Radenovic, Tolias and Chum (https://arxiv.org/abs/1711.02512); the models
are those of https://github.com/filipradenovic/cnnimageretrieval-pytorch.

Command: see gem_resnet101_sfm120k.py, the parent.
Hardware, time and score: not run yet. Published, in percent of mAP, at 1024
pixels and scales 1, 1.4142 and 0.7071, without further whitening:

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

Differs from its parent in the whitening layer, loss, image size and negatives.
The layer is initialized with the whitening learned from the pairs of the
training split, at training size and one scale (interpretation: the published
one was read from a separate file).
"""

import gem_resnet101_sfm120k

from agem_tf.config import Config, LossConfig


def get_config() -> Config:
    """Returns the recipe; prepare the dataset first."""
    config = gem_resnet101_sfm120k.get_config()
    config.name = "gem_resnet101_whitening_triplet"
    config.image.size = 1024
    config.image.buckets = ((1024, 1024), (768, 1024), (1024, 768))
    config.model.whitening_dimension = 2048
    config.loss = LossConfig("triplet", {"margin": 0.5})
    config.mining.num_negatives = 4
    # Photos have up to 1024 x 1024 pixels.
    config.extraction.batch_size = 4
    return config
