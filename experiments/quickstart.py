"""CBAM and GeM on the embedded synthetic landmarks, in minutes on a CPU.

Command: make quickstart
Hardware, time and score: see experiments/README.md.

These are the defaults of `agem_tf.config`, which `python -m agem_tf.train` runs
without arguments.
"""

from agem_tf.config import Config


def get_config() -> Config:
    """Returns the recipe."""
    return Config(name="quickstart")
