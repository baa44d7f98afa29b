"""Options of a backbone: batch normalization, attention, precision.

The graphs of this package ask these options for their layers; the networks of
keras.applications are rewritten to follow them.
"""

import dataclasses
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from keras import layers

from agem_tf.backbones.preprocessing import ChannelScaling
from agem_tf.config import ATTENTIONS, BATCH_NORMS, MERGES
from agem_tf.layers import CBAM, DownsamplingAttention, PointwiseAttention
from agem_tf.layers.batch_normalization import batch_normalization

BLOCKS = ("blocks",)


@dataclasses.dataclass(frozen=True)
class BackboneOptions:
    """Options that every backbone takes.

    The AGeM paper does not say where its three attention units sit, nor what
    its final "+" adds. Interpretation: conv5 of a ResNet has three blocks, one
    per unit, and "+" adds the attended map to the map.

    Attributes:
        batch_norm: "trainable"; "frozen_statistics", which fixes the moving
            statistics and trains gamma and beta, as image retrieval does; or
            "frozen", which fixes gamma and beta too. Attention layers are new
            and keep gamma and beta trainable in every case.
        preprocessing: Arguments of the `ChannelScaling` that replaces the
            network's own, for weights that expect other pixel values.
        attention: "none", "cbam", or "agem" for the paper's three units.
        attention_placement: For "cbam", the feature maps after which it is
            inserted, or ("blocks",) for the end of every residual branch.
        attention_merge: For "agem", how the scores A of the last unit meet
            the map F: "residual" F + A * F, "add" F + A, or "mul" A * F.
        attention_bias: For "agem", initial bias of the scores: 4 starts them
            at 0.98, so that training starts close to the network without
            attention.
        dtype: Dtype policy of the layers; None for the global one.

    Raises:
        ValueError: An option is unknown.
    """

    batch_norm: str = "trainable"
    preprocessing: Mapping[str, Any] | None = None
    attention: str = "none"
    attention_placement: Sequence[str] = ("C5",)
    attention_merge: str = "residual"
    attention_bias: float = 4.0
    dtype: Any = None

    def __post_init__(self):
        for name, known in (
            ("batch_norm", BATCH_NORMS),
            ("attention", ATTENTIONS),
            ("attention_merge", MERGES),
        ):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"`{name}` must be one of {list(known)}. "
                    f"Received: {name}={getattr(self, name)!r}"
                )

    @property
    def attends_blocks(self) -> bool:
        """Whether CBAM ends every residual branch."""
        in_blocks = tuple(self.attention_placement) == BLOCKS
        return self.attention == "cbam" and in_blocks

    def check_attention(
        self,
        network: str,
        feature_maps: Collection[str],
        has_branches: bool = False,
        conv5_blocks: int = 0,
    ) -> None:
        """Checks that a network has the places where attention is to enter.

        Args:
            network: Name of the network, for the message.
            feature_maps: Names of its maps.
            has_branches: Whether it can be built with CBAM in its blocks.
            conv5_blocks: Number of blocks of a ResNet's conv5.

        Raises:
            ValueError: It has no such place.
        """
        placement = self.attention_placement
        if self.attention == "agem" and conv5_blocks != 3:
            raise ValueError(
                f"{network} has no conv5 of three blocks, which AGeM's "
                "attention units need; use a ResNet v1, or CBAM. "
                "Received: attention='agem'"
            )
        if self.attends_blocks and not has_branches:
            raise ValueError(
                f"CBAM can enter the blocks of the ResNets and EfficientNets "
                f"of this package only, not those of {network}; name feature "
                f"maps instead. Received: attention_placement={placement!r}"
            )
        if self.attention != "cbam" or self.attends_blocks:
            return
        if isinstance(placement, str) or not set(placement) <= set(
            feature_maps
        ):
            raise ValueError(
                '`attention_placement` must be ("blocks",) or a sequence of '
                f"feature maps of {network}, of {list(feature_maps)}. "
                f"Received: attention_placement={placement!r}"
            )

    def scale(self, images: Any, default: Mapping[str, Any]) -> Any:
        """Scales pixel values, by `default` unless `preprocessing` is set."""
        scaling = self.preprocessing or default
        return ChannelScaling(**scaling, name="preprocessing")(images)

    def normalization(self, epsilon: float, name: str) -> layers.Layer:
        """Returns a batch normalization of the kind that `batch_norm` names."""
        return batch_normalization(
            self.batch_norm, epsilon=epsilon, name=name, dtype=self.dtype
        )

    def attend_map(self, feature_map: str, features: Any) -> Any:
        """Returns a feature map, after CBAM if it is placed there."""
        placed = not self.attends_blocks and (
            feature_map in self.attention_placement
        )
        if self.attention != "cbam" or not placed:
            return features
        return self._cbam(feature_map)(features)

    def attend_branch(self, layer: str, features: Any) -> Any:
        """Returns the end of a residual branch, after CBAM if in blocks.

        Args:
            layer: Name of the layer that ends the branch.
            features: The output of that layer.
        """
        return self._cbam(layer)(features) if self.attends_blocks else features

    def attend_conv5(self, block: int, features: Any, source: Any) -> Any:
        """Returns the output of a block of conv5, after the paper's unit.

        Args:
            block: Number of the block, from 1 to 3.
            features: Its output.
            source: Its input, which the unit scores.
        """
        if self.attention != "agem":
            return features
        label = ("1", "2_1", "2_2")[block - 1]
        options = {
            "initial_bias": self.attention_bias,
            "name": f"attention_{label}",
            "dtype": self.dtype,
        }
        if block == 1:
            unit = DownsamplingAttention(
                features.shape[-1],
                batch_norm=self._attention_batch_norm,
                **options,
            )
        else:
            unit = PointwiseAttention(**options)
        scores = unit(source)
        merge = self.attention_merge if block == 3 else "mul"
        attended = f"attended_{label}"
        if merge == "add":
            return layers.Add(name=attended, dtype=self.dtype)(
                [features, scores]
            )
        product = layers.Multiply(name=attended, dtype=self.dtype)(
            [features, scores]
        )
        if merge == "mul":
            return product
        return layers.Add(name=f"residual_{label}", dtype=self.dtype)(
            [features, product]
        )

    def kernel_seeds(self, num_kernels: int, normalized: bool) -> Iterator[int]:
        """Yields the seed of each kernel of a network, in layer order.

        Keras takes one number from Python's generator per random initializer.
        The first of the following numbers belong to the network's kernels.
        Attention layers and the head follow after as many numbers as copies
        of the network would take, one each for other preprocessing, for frozen
        statistics and for attention: earlier releases made such copies, and
        so a seed still leads to the initial weights behind published scores.

        Args:
            num_kernels: Number of kernels with random initial weights.
            normalized: Whether the network has batch normalizations.
        """
        num_copies = (
            bool(self.preprocessing)
            + (normalized and self.batch_norm == "frozen_statistics")
            + (self.attention != "none")
        )
        own = random.Random()
        own.setstate(random.getstate())
        for _ in range(num_copies * num_kernels):
            _draw_seed(random)
        for _ in range(num_kernels):
            _draw_seed(random)
            yield _draw_seed(own)

    @property
    def _attention_batch_norm(self) -> str:
        trainable = self.batch_norm == "trainable"
        return "trainable" if trainable else "frozen_statistics"

    def _cbam(self, place: str) -> layers.Layer:
        return CBAM(
            batch_norm=self._attention_batch_norm,
            name=f"attention_{place}",
            dtype=self.dtype,
        )


def _draw_seed(generator: Any) -> int:
    """Draws a seed as Keras does for an initializer without one."""
    return generator.randint(1, int(1e9))
