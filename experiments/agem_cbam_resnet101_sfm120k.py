"""GeM on ResNet-101 with CBAM on its last map, as an attention to compare.

Papers: Woo et al., "CBAM" (https://arxiv.org/abs/1807.06521), and that of GeM.

Command: see gem_resnet101_sfm120k.py, the parent.
Hardware, time and score: not run yet; nothing was published for it.

Differs from its parent in the attention alone. An untrained CBAM weighs all by
0.5, which the normalization takes back, so training starts from plain GeM. Its
place is interpretation: `--set model.attention_placement=C4,C5` attends two
maps, `--set model.attention_placement=blocks` every residual branch as in
CBAM's own networks.
"""

import pathlib

from agem_tf.config import Config, loading

PARENT = pathlib.Path(__file__).with_name("gem_resnet101_sfm120k.py")


def get_config() -> Config:
    """Returns the recipe; prepare the dataset first."""
    config = loading.load(PARENT)
    config.name = "agem_cbam_resnet101_sfm120k"
    config.model.attention = "cbam"
    config.model.attention_placement = ("C5",)
    return config
