"""DELF's backbone on Google Landmarks v2-clean: ResNet-50 by classification.

Paper: Noh et al., "Large-scale image retrieval with attentive deep local
features" (DELF, https://arxiv.org/abs/1612.06321), which trains on the first
version of Google Landmarks.

Commands, after the preparation of gem_resnet101_gldv2.py:

    python -m agem_tf.train --config=experiments/delf_resnet50_gldv2_stage1.py \
        --workdir=runs/delf_resnet50_gldv2_stage1
    python -m agem_tf.train --config=experiments/delf_resnet50_gldv2.py \
        --workdir=runs/delf_resnet50_gldv2

Hardware, time and score: not run yet. Published mAP in percent of the whole
system, with geometric verification, by the old protocol: Oxford5k 83.8,
Paris6k 85.0, Oxford105k 82.6, Paris106k 81.7.

The training photos share landmarks with 38 of the 70 queries of ROxford5k and
36 of the 70 of RParis6k; state that with any score.

Interpretation: photos are stretched to 224 x 224 where the paper takes random
crops of 224 from central squares of 250 pixels; classes are predicted from the
mean of conv4, not of conv5; Adam and its rates.
"""

import gem_resnet101_gldv2

from agem_tf.config import (
    Config,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    OptimizerRule,
)


def get_config() -> Config:
    """Returns the recipe; prepare the dataset first."""
    config = gem_resnet101_gldv2.get_config()
    config.name = "delf_resnet50_gldv2_stage1"
    config.image.size = 224
    config.model = ModelConfig(
        backbone="resnet50",
        weights="imagenet",
        feature_map="C4",
        attention="none",
        pooling="spoc",
    )
    config.training.whitening_start = "learned"  # There is no such layer.
    config.loss = LossConfig("softmax", {"scale": 45.25})
    config.optimizer = OptimizerConfig(
        learning_rate=5e-5,
        decay=0.3,
        rules=[
            OptimizerRule("classifier/*", 10.0),
            OptimizerRule("*", weight_decay=1e-4),
        ],
    )
    return config
