"""The paper's AGeM (ResNet-101), trained on Google Landmarks v2-clean with
ArcFace.

Paper: Gu, Li and Xie, "Attention-aware generalized mean pooling for image
retrieval" (https://arxiv.org/abs/1811.00202), for the attention units.

Command: see gem_resnet101_gldv2.py, the parent.
Hardware, time and score: not run yet; no score has been published. The paper
trains on retrieval-SfM-120k, as agem_resnet101_sfm120k.py does.

Differs from its parent in the attention and its learning rate, which is a fifth
of the network's: the rate at which agem_resnet101_sfm120k.py trains the units.
At 1e-4, twice the network's rate here, scores of the first unit saturate within
100 steps (unit_rates.py). agem_resnet101_sfm120k.py lists
what is interpretation.
"""

import gem_resnet101_gldv2

from agem_tf.config import Config, OptimizerRule


def get_config() -> Config:
    """Returns the recipe; prepare the dataset first."""
    config = gem_resnet101_gldv2.get_config()
    config.name = "agem_resnet101_gldv2"
    config.model.attention = "agem"
    config.model.attention_merge = "residual"
    config.model.attention_bias = 2.0
    config.optimizer.rules.insert(
        -1, OptimizerRule("attention_*", 0.2, weight_decay=1e-6)
    )
    return config
