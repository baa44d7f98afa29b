"""GeM on ResNet-101 with CBAM on its last map, for comparison with AGeM.

Papers: Woo et al., "CBAM" (https://arxiv.org/abs/1807.06521), and that of GeM.

Command: see gem_resnet101_sfm120k.py, the parent.
Hardware, time and score: not run yet; no score has been published.

Differs from its parent in the attention only. An untrained CBAM multiplies
everything by 0.5, which the L2 normalization cancels, so training starts from
plain GeM. The placement is interpretation: `--set
model.attention_placement=C4,C5` adds it to two maps, `--set
model.attention_placement=blocks` to every residual branch, as in the CBAM
paper.
"""

import gem_resnet101_sfm120k

from agem_tf.config import Config


def get_config() -> Config:
    """Returns the recipe; prepare the dataset first."""
    config = gem_resnet101_sfm120k.get_config()
    config.name = "agem_cbam_resnet101_sfm120k"
    config.model.attention = "cbam"
    config.model.attention_placement = ("C5",)
    return config
