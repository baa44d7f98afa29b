"""DELF on the embedded synthetic landmarks, first stage: the backbone.

Commands, on 2 CPU cores:

    python -m agem_tf.train --config=experiments/delf_quickstart_stage1.py \
        --workdir=runs/delf_quickstart_stage1
    python -m agem_tf.train --config=experiments/delf_quickstart.py \
        --workdir=runs/delf_quickstart

Scores: see experiments/README.md. docs/local_features.md goes on to features,
PCA and matches.

Paper: Noh et al., "Large-scale image retrieval with attentive deep local
features" (DELF, https://arxiv.org/abs/1612.06321). The landmarks of the
training split are the classes of the mean feature at stride 16.
"""

from agem_tf.config import (
    Config,
    ImageConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    OptimizerRule,
    TrainingConfig,
)


def get_config() -> Config:
    """Returns the recipe."""
    return Config(
        name="delf_quickstart_stage1",
        image=ImageConfig(size=160),
        model=ModelConfig(
            backbone="efficientnet_lite0",
            weights="imagenet",
            feature_map="C4",
            attention="none",
            pooling="spoc",
        ),
        loss=LossConfig("softmax", {"scale": 16.0}),
        optimizer=OptimizerConfig(
            learning_rate=2e-4,
            rules=[
                # Starts from random weights, unlike the network.
                OptimizerRule("classifier/*", 10.0),
                OptimizerRule("stem*", 0.0),
                OptimizerRule("block[123][a-z]_*", 0.0),
                OptimizerRule("*", 1.0, 1e-6),
            ],
        ),
        training=TrainingConfig(epochs=6, batch_tuples=16),
    )
