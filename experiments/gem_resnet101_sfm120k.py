"""GeM on ResNet-101, trained on retrieval-SfM-120k as its authors did.

Paper: Radenovic, Tolias and Chum, "Fine-tuning CNN image retrieval with no
human annotation" (https://arxiv.org/abs/1711.02512).

Command, after preparing data and weights ("Published recipes" in
experiments/README.md, which also has the commands for scores):

    python -m agem_tf.train --config=experiments/gem_resnet101_sfm120k.py \
        --workdir=runs/gem_resnet101_sfm120k

Hardware, time and score: not run yet. Published, in percent of mAP, at 1024
pixels and scales 1, 0.7071 and 0.5, with whitening learned on the same photos:

                   Oxford  Paris  ROxford-M  RParis-M  ROxford-H  RParis-H
    GeM, PyTorch     88.2   92.5       65.4      76.7       40.1      55.2
    GeM, the paper                     64.7      77.2       38.5      56.3

All settings are those of the authors' published command, except
(interpretation) 100 epochs, of 30 to 100 published, and the newer of two
published pairs of learning rate and weight decay (the older: 1e-6 and 1e-4).
Photos are padded to a few canvases, on which descriptors do not depend; `--set
"image.buckets=()"` disables it. This is the parent of the other recipes on
retrieval-SfM-120k.
"""

from agem_tf.config import (
    Config,
    DataConfig,
    ImageConfig,
    LossConfig,
    MiningConfig,
    ModelConfig,
    OptimizerConfig,
    OptimizerRule,
    TrainingConfig,
)


def get_config() -> Config:
    """Returns the recipe; prepare the dataset first."""
    return Config(
        name="gem_resnet101_sfm120k",
        data=DataConfig(
            dataset="retrieval_sfm_120k",
            directory="data/retrieval-SfM-120k",
            # Benchmarks are other datasets, extracted after training.
            test_split="",
        ),
        image=ImageConfig(
            size=362,
            resize="aspect",
            enlarge=False,
            interpolation="lanczos3",
            buckets=((384, 384), (288, 384), (384, 288)),
        ),
        model=ModelConfig(
            backbone="resnet101_torch",
            weights="weights/resnet101.pth",
            attention="none",
            pooling="gem",
            pooling_options={"p": 3.0},
            batch_norm="frozen_statistics",
        ),
        loss=LossConfig("contrastive", {"margin": 0.85}),
        mining=MiningConfig(num_queries=2000, pool_size=22000, num_negatives=5),
        optimizer=OptimizerConfig(
            learning_rate=5e-7,
            decay=0.01,
            rules=[
                OptimizerRule("pooling*/p", 10.0, weight_decay=0.0),
                OptimizerRule("*", weight_decay=1e-6),
            ],
            epsilon=1e-8,
        ),
        training=TrainingConfig(
            epochs=100,
            batch_tuples=5,
            checkpoint_steps=100,
            select_best="validation_loss",
        ),
    )
