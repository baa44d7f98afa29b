"""DELF on the embedded synthetic landmarks, second stage: the attention.

Commands, scores and paper: see delf_quickstart_stage1.py, whose run is the
start. The backbone is frozen; the attention and a new classifier are trained,
each step on photos resized by one of five scales.
"""

import delf_quickstart_stage1

from agem_tf.config import Config, LossConfig, OptimizerConfig, OptimizerRule


def get_config() -> Config:
    """Returns the recipe; train the first stage before."""
    config = delf_quickstart_stage1.get_config()
    config.name = "delf_quickstart"
    config.model.weights = "runs/delf_quickstart_stage1"
    config.model.pooling = "attentive"
    config.model.batch_norm = "frozen"
    config.loss = LossConfig("softmax", {"scale": 16.0})
    config.optimizer = OptimizerConfig(
        learning_rate=1e-3,
        rules=[
            OptimizerRule("pooling/*", weight_decay=1e-4),
            OptimizerRule("classifier/*", 2.0),
            OptimizerRule("*", 0.0),
        ],
    )
    config.training.epochs = 12
    # Twice those of the paper, whose photos have 720 pixels: a quarter of 160
    # would leave nine positions to choose from.
    config.training.rescale = (0.5, 0.7071, 1.0, 1.4142, 2.0)
    return config
