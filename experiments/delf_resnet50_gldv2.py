"""DELF's attention on Google Landmarks v2-clean, with the backbone frozen.

Paper, commands and scores: see delf_resnet50_gldv2_stage1.py, whose run is the
start. Not run yet. The loss should fall below about 1 per photo; one that
stays near 7 means that the attention does not learn.

As in the paper: 720 pixels, each step at one of five scales; the attention's
512 channels and its weight decay of 1e-4. Interpretation: photos are stretched
to the square where the paper takes random crops of 720 from central squares of
900 pixels; Adam and its rates.
"""

import delf_resnet50_gldv2_stage1

from agem_tf.config import Config, LossConfig, OptimizerConfig, OptimizerRule


def get_config() -> Config:
    """Returns the recipe; train the first stage before."""
    config = delf_resnet50_gldv2_stage1.get_config()
    config.name = "delf_resnet50_gldv2"
    config.image.size = 720
    config.model.weights = "runs/delf_resnet50_gldv2_stage1"
    config.model.pooling = "attentive"
    config.model.pooling_options = {"filters": 512}
    config.model.batch_norm = "frozen"
    config.loss = LossConfig("softmax", {"scale": 45.25})
    config.optimizer = OptimizerConfig(
        learning_rate=1e-3,
        decay=0.3,
        rules=[
            OptimizerRule("pooling/*", weight_decay=1e-4),
            OptimizerRule("classifier/*"),
            OptimizerRule("*", 0.0),
        ],
    )
    config.training.rescale = (0.25, 0.3536, 0.5, 0.7071, 1.0)
    return config
