"""The process that the tests of killed runs start."""

import os

import tensorflow as tf

from agem_tf import extract, train
from agem_tf.config import Config
from agem_tf.distribution import preemption


def run(
    recipe: Config, workdir: str, strategy: str, tf_config: str = ""
) -> None:
    """Trains as the command does, "mirrored" on two processors."""
    if tf_config:
        os.environ["TF_CONFIG"] = tf_config
    if strategy == "mirrored":
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * 2,
        )
    with preemption.listening():
        train.main(
            train.TrainOptions(
                config=recipe, workdir=workdir, strategy=strategy
            )
        )


def run_extraction(workdir: str, output: str, tf_config: str = "") -> None:
    """Extracts the training split as the command does."""
    if tf_config:
        os.environ["TF_CONFIG"] = tf_config
    with preemption.listening():
        extract.main(
            extract.ExtractOptions(
                workdir=workdir,
                output=output,
                split="train",
                strategy="multiworker" if tf_config else "one",
            )
        )
