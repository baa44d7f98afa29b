"""A small recipe for the compile check, with everything that TPUs need.

Command: make tpu-check
Compiled, not trained; see docs/tpu.md.

Differs from the quickstart in what takes compilation time (the network ends at
stride 8, photos have 64 pixels) and in what a TPU needs: canvases of static
shape, mixed precision and batches for four chips. All variables are trained,
and two scales are extracted.
"""

from agem_tf.config import (
    Config,
    ImageConfig,
    OptimizerConfig,
    OptimizerRule,
    TrainingConfig,
)


def get_config() -> Config:
    """Returns the recipe."""
    config = Config(name="tpu_check_small")
    config.image = ImageConfig(64, "aspect", buckets=((64, 64), (32, 64)))
    config.model.feature_map = "C3"
    config.model.attention_placement = ("C3",)
    config.optimizer = OptimizerConfig(
        rules=[
            OptimizerRule("pooling*/p", 10.0),
            OptimizerRule("*", weight_decay=1e-6),
        ]
    )
    config.training = TrainingConfig(batch_tuples=8, precision="mixed_bfloat16")
    config.extraction.batch_size = 32
    config.extraction.scales = (1.0, 0.7071)
    return config
