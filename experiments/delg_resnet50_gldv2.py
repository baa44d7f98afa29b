"""The joint model (DELG) on Google Landmarks v2-clean, in one training.

Paper: Cao, Araujo and Sim, "Unifying deep local and global features for image
search" (DELG, https://arxiv.org/abs/2001.05027).

Command, after the preparation of gem_resnet101_gldv2.py:

    python -m agem_tf.train --config=experiments/delg_resnet50_gldv2.py \
        --workdir=runs/delg_resnet50_gldv2

Hardware, time and score: not run yet. The training photos share landmarks with
38 of the 70 queries of ROxford5k and 36 of the 70 of RParis6k; state that with
any score.

As in DELG: 512 pixels; GeM with ArcFace, its margin 0.1 and the square root of
2048 as its scale; attention with 512 channels and an autoencoder of 128
dimensions on conv4, behind a stop of the gradient; weights 1 and 10 of their
losses; a linear layer with a bias after the pooling. Interpretation: photos are
stretched to a square without augmentation (the paper crops at random); Adam,
its rates and the other settings of gem_resnet101_gldv2.py.
"""

import gem_resnet101_gldv2

from agem_tf.config import Config, OptimizerRule


def get_config() -> Config:
    """Returns the recipe; prepare the dataset first."""
    config = gem_resnet101_gldv2.get_config()
    config.name = "delg_resnet50_gldv2"
    config.model.backbone = "resnet50"
    config.model.weights = "imagenet"
    config.model.local_map = "C4"
    config.model.local_dimension = 128
    config.model.local_options = {"filters": 512}
    config.loss.attention_weight = 1.0
    config.loss.reconstruction_weight = 10.0
    config.optimizer.rules = [
        OptimizerRule("local_branch/*", 10.0, 1e-4),
        OptimizerRule("local_classifier/*", 10.0),
        *config.optimizer.rules,
    ]
    return config
