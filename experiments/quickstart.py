"""AGeM on the embedded synthetic landmarks, in minutes on a laptop's CPU.

Command: make quickstart
Hardware, time and score: see experiments/README.md.

The defaults of `agem_tf.config` are this recipe, so that it is also what
`python -m agem_tf.train` runs without arguments.
"""

from agem_tf.config import Config


def get_config() -> Config:
    """Returns the recipe."""
    return Config(name="quickstart")
