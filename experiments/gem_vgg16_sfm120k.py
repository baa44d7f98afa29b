"""GeM on VGG16, trained on retrieval-SfM-120k.

Paper: Radenovic, Tolias and Chum (https://arxiv.org/abs/1711.02512).

Command: see gem_resnet101_sfm120k.py, the parent.
Hardware, time and score: not run yet. Published, in percent of mAP, at 1024
pixels and scales 1, 0.7071 and 0.5, with whitening learned on the same photos:

                   Oxford  Paris  ROxford-M  RParis-M  ROxford-H  RParis-H
    GeM, PyTorch     87.3   87.8       60.9      69.3       32.9      44.2

Differs from its parent in the network, which is pooled before its last pooling
layer, and in margin and learning rate. Those two were published for siaMAC
on the same network, but not for GeM on VGG16 (interpretation).
"""

import gem_resnet101_sfm120k

from agem_tf.config import Config


def get_config() -> Config:
    """Returns the recipe; prepare the dataset first."""
    config = gem_resnet101_sfm120k.get_config()
    config.name = "gem_vgg16_sfm120k"
    config.model.backbone = "vgg16_torch"
    config.model.weights = "weights/vgg16.pth"
    config.model.feature_map = "C4"
    config.loss.options = {"margin": 0.75}
    config.optimizer.learning_rate = 1e-6
    return config
