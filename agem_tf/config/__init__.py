"""Recipes: every setting of a training run as nested plain dataclasses.

Nothing here imports TensorFlow.
"""

from agem_tf.config.evaluation_fields import (
    RESIZES_BY,
    USES,
    BenchmarkConfig,
    EvaluationConfig,
    ExtractionConfig,
    UseConfig,
)
from agem_tf.config.named_networks import (
    NETWORK_NAMES,
    named_network,
    network_title,
)
from agem_tf.config.optimizer_fields import (
    OptimizerConfig,
    OptimizerRule,
    default_rules,
    earlier_default_rules,
)
from agem_tf.config.photo_fields import (
    CANVAS_MULTIPLE,
    AugmentationConfig,
    ImageConfig,
)
from agem_tf.config.recipe import (
    ATTENTIONS,
    BATCH_NORMS,
    MERGES,
    STRATEGIES,
    Config,
    DataConfig,
    LossConfig,
    MiningConfig,
    ModelConfig,
    TrainingConfig,
)
from agem_tf.config.validation import (
    read_settings,
    type_faults,
    validate,
)

__all__ = [
    "ATTENTIONS",
    "AugmentationConfig",
    "BATCH_NORMS",
    "BenchmarkConfig",
    "CANVAS_MULTIPLE",
    "Config",
    "DataConfig",
    "EvaluationConfig",
    "ExtractionConfig",
    "ImageConfig",
    "LossConfig",
    "MERGES",
    "MiningConfig",
    "ModelConfig",
    "NETWORK_NAMES",
    "OptimizerConfig",
    "OptimizerRule",
    "RESIZES_BY",
    "STRATEGIES",
    "TrainingConfig",
    "USES",
    "UseConfig",
    "default_rules",
    "earlier_default_rules",
    "named_network",
    "network_title",
    "read_settings",
    "type_faults",
    "validate",
]
