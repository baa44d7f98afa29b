"""The joint model (DELG) on the embedded synthetic landmarks, in one training.

Command, on 2 CPU cores:

    python -m agem_tf.train --config=experiments/delg_quickstart.py \
        --workdir=runs/delg_quickstart

Scores: Medium 60.3 +- 3.5 mAP of the global descriptor over three seeds, 30.6
before training; two minutes. Verified: see experiments/README.md.
`agem_tf.extract` gives the global descriptors of the run, and with --kind=local
its local features.

Paper: Cao, Araujo and Sim, "Unifying deep local and global features for image
search" (DELG, https://arxiv.org/abs/2001.05027). A GeM head with ArcFace, and
beside it attention and an autoencoder at stride 16, whose gradients stop before
the backbone.
"""

import delf_quickstart_stage1

from agem_tf.config import Config, LossConfig, OptimizerRule


def get_config() -> Config:
    """Returns the recipe."""
    config = delf_quickstart_stage1.get_config()
    config.name = "delg_quickstart"
    config.model.feature_map = "C5"
    config.model.pooling = "gem"
    config.model.local_map = "C4"
    config.model.local_dimension = 128
    config.loss = LossConfig("arcface", {"margin": 0.1, "scale": 16.0})
    config.optimizer.rules = [
        OptimizerRule("pooling/p", 10.0),
        # They start from random weights, unlike the network.
        OptimizerRule("local_*", 5.0),
        *config.optimizer.rules,
    ]
    config.training.epochs = 12
    return config
