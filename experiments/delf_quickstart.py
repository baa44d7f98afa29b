"""DELF on embedded synthetic landmarks, second stage: the attention.

Commands, scores and paper: see delf_quickstart_stage1.py, whose run is the
start. The backbone is frozen; the attention and a new classifier are trained,
each step on photos resized by one of five scales.

As in the paper, the attention sees more photos than the backbone, and less
clean ones: 960 photos behind two to four times as many trees, people, cars and
posts. Interpretation: they show 96 other landmarks, with a seed of their own,
where the paper's show the same. On photos that the backbone was fitted to, the
background tells the landmark as well as the building does.
"""

import delf_quickstart_stage1

from agem_tf.config import Config, LossConfig, OptimizerConfig, OptimizerRule

CLUTTERED_SCENE = {
    "mean_trees": 3.0,
    "mean_people": 10.0,
    "mean_vehicles": 4.0,
    "mean_posts": 4.0,
    "foreground_share": 0.6,
}


def get_config() -> Config:
    """Returns the recipe; train the first stage before."""
    config = delf_quickstart_stage1.get_config()
    config.name = "delf_quickstart"
    config.data.options = {
        "seed": 1,
        "train_landmarks": 96,
        "scene": CLUTTERED_SCENE,
    }
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
    config.training.epochs = 8
    # Twice those of the paper, whose photos have 720 pixels: a quarter of 160
    # would leave nine positions to choose from.
    config.training.rescale = (0.5, 0.7071, 1.0, 1.4142, 2.0)
    return config
