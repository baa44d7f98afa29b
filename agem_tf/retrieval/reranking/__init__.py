"""Re-ranking from stored descriptors, without another pass of the model.

Steps are specified as text, e.g. "dba:20,1", and applied in order.
"""

from agem_tf.retrieval.reranking.diffusion import Diffusion, OfflineDiffusion
from agem_tf.retrieval.reranking.expansion import (
    DatabaseAugmentation,
    QueryExpansion,
)
from agem_tf.retrieval.reranking.k_reciprocal import KReciprocal
from agem_tf.retrieval.reranking.pipeline import (
    PRESETS,
    STEPS,
    PreparedReranking,
    Step,
    parse_rerank,
    rank_with,
    rerank,
    split_verification,
    transform,
)
from agem_tf.retrieval.reranking.spatial_verification import (
    SpatialVerification,
)
from agem_tf.retrieval.reranking.steps import (
    DescriptorStep,
    RankingStep,
    Reorder,
)
from agem_tf.retrieval.reranking.superglobal import SuperGlobal

__all__ = [
    "PRESETS",
    "STEPS",
    "DatabaseAugmentation",
    "DescriptorStep",
    "Diffusion",
    "KReciprocal",
    "OfflineDiffusion",
    "PreparedReranking",
    "QueryExpansion",
    "RankingStep",
    "Reorder",
    "SpatialVerification",
    "Step",
    "SuperGlobal",
    "parse_rerank",
    "rank_with",
    "rerank",
    "split_verification",
    "transform",
]
