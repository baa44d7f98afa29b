"""GeM on ResNet-101, trained on Google Landmarks v2-clean with ArcFace.

Papers: Cao, Araujo and Sim, "Unifying deep local and global features for image
search" (DELG, https://arxiv.org/abs/2001.05027), whose global head this is;
Weyand et al., "Google Landmarks Dataset v2" (https://arxiv.org/abs/2004.01804).

Commands, with torchvision's weights of ResNet-101 in weights/:

    python -m agem_tf.prepare --dataset=google_landmarks_v2_clean \
        --source=GLDV2 --data_dir=data/gldv2-clean --option validation=0.01
    python -m agem_tf.train --config=experiments/gem_resnet101_gldv2.py \
        --workdir=runs/gem_resnet101_gldv2

Hardware, time and score: not run yet. Published mAP in percent for DELG, which
also re-ranks with local features and RANSAC:

            ROxford-M  RParis-M  ROxford-H  RParis-H
    DELG         81.2      87.2       64.0      72.8

The training photos share landmarks with 38 of the 70 queries of ROxford5k and
36 of the 70 of RParis6k; state that with any score.

As in DELG: the photos, the network up to the pooled descriptor, the linear
layer with a bias after it, and the loss with its margin 0.1 and its scale, the
square root of 2048. Everything else is interpretation: 512 pixels, stretched to
a square without augmentation (others crop at random); Adam, its rates, 128
photos per step and 10 epochs; the L2 norm before the linear layer; and 1 % of
the landmarks held out to compare epochs.

An epoch is 12 thousand steps. The classifier of 80,500 landmarks needs 0.7 GB
on every device, Adam's moments twice as much, and a checkpoint 2.5 GB of disk.
"""

from agem_tf.config import (
    Config,
    DataConfig,
    ImageConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    OptimizerRule,
    TrainingConfig,
)


def get_config() -> Config:
    """Returns the recipe; prepare the dataset first."""
    return Config(
        name="gem_resnet101_gldv2",
        data=DataConfig(
            dataset="google_landmarks_v2_clean",
            directory="data/gldv2-clean",
            # Benchmarks are other datasets, extracted after training.
            test_split="",
        ),
        image=ImageConfig(size=512, resize="square", interpolation="bilinear"),
        model=ModelConfig(
            backbone="resnet101_torch",
            weights="weights/resnet101.pth",
            attention="none",
            pooling="gem",
            pooling_options={"p": 3.0},
            whitening_dimension=2048,
            batch_norm="frozen_statistics",
        ),
        loss=LossConfig("arcface", {"margin": 0.1, "scale": 45.25}),
        optimizer=OptimizerConfig(
            learning_rate=5e-5,
            decay=0.3,
            rules=[
                OptimizerRule("pooling*/p", 10.0),
                # These start from random weights, unlike the network.
                OptimizerRule("whitening/*", 10.0),
                OptimizerRule("classifier/*", 10.0),
                OptimizerRule("*", weight_decay=1e-6),
            ],
        ),
        training=TrainingConfig(
            epochs=10,
            batch_tuples=128,
            steps_per_call=50,
            checkpoint_steps=1000,
            whitening_start="random",
            select_best="validation_map",
        ),
    )
