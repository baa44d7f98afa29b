"""The AGeM network, from an image to one compact descriptor.

Every part is chosen by name, so that plain GeM, R-MAC or a network with CBAM is
the same model with another configuration.
"""

import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from agem_tf import registry
from agem_tf.backbones import create_backbone
from agem_tf.backbones.options import BLOCKS
from agem_tf.backbones.stages import stage_variables
from agem_tf.config import ExtractionConfig, ImageConfig
from agem_tf.layers import (
    CBAM,
    L2Normalization,
    LocalBranch,
    Regional,
    Whitening,
)
from agem_tf.layers.attention_units import AttentionUnit
from agem_tf.models.presets import write_preset


@keras.saving.register_keras_serializable(package="agem_tf")
class AGeM(keras.Model):
    """Global image descriptor with attention and generalized-mean pooling.

    `d = L2N(pool(attended map))`, or with whitening
    `d = L2N(whiten(L2N(pool(attended map))))`.

    Descriptors are float32 under every dtype policy: a dot product of unit
    vectors in half precision cannot separate good neighbours. So are pooling
    and whitening.

    Args:
        backbone: One of `agem_tf.registry.names("backbone")`.
        weights: Weights of the backbone: None, "imagenet" or a file. Not part
            of the configuration, because a saved model has its own.
        feature_map: The map to pool, "C2" (stride 4) to "C5" (stride 32).
        attention: "none", "cbam", or "agem", the paper's three units in conv5
            of a ResNet.
        attention_placement: For "cbam", the maps that it attends, or
            ("blocks",) for the end of every residual branch of a ResNet or
            EfficientNet-Lite.
        attention_merge: For "agem", how the last unit meets its map:
            "residual", "add" or "mul"; see `BackboneOptions`.
        attention_bias: For "agem", initial bias of the units' scores.
        pooling: One of `agem_tf.registry.names("pooling")`.
        pooling_options: Arguments of the pooling layer, like {"p": 3.0}.
        regional: Whether the regions of R-MAC are pooled as well, and summed.
        whitening_dimension: Dimension of the trainable linear whitening; 0 for
            none.
        batch_norm: Batch normalization of the backbone: "trainable",
            "frozen_statistics" (gamma and beta are trained) or "frozen". New
            attention layers keep gamma and beta trainable; their statistics
            follow the backbone's.
        preprocessing: Arguments of a `backbones.preprocessing.ChannelScaling`
            that replaces the backbone's, for weights that expect other pixel
            values.
        local_dimension: Dimension of the local features of the joint model
            (DELG), whose `LocalBranch` reads a second map; 0 for no branch.
        local_map: For `local_dimension`, the map that the branch reads.
        local_options: Other arguments of `layers.LocalBranch`, like
            {"filters": 512}.
        dtype: Dtype policy of the backbone and its attention, like
            "mixed_bfloat16"; None for Keras' global policy.
        name: Name of the model.

    Input shape:
        (batch, height, width, 3), RGB in [0, 255], of any size.

    Output shape:
        (batch, dimension), float32 of unit norm.

    Raises:
        ValueError: a name is unknown, or parts do not fit each other.
        UserError: the weights cannot be found, read or fitted.

    Example:
        >>> model = AGeM("resnet101", "imagenet", attention="agem")
        >>> descriptors = model(images)

    Reference:
        [Gu et al., 2018](https://arxiv.org/abs/1811.00202),
        [Cao et al., 2020](https://arxiv.org/abs/2001.05027) (DELG)
    """

    def __init__(
        self,
        backbone: str = "efficientnet_lite0",
        weights: str | os.PathLike | None = None,
        feature_map: str = "C5",
        attention: str = "cbam",
        attention_placement: Sequence[str] = ("C5",),
        attention_merge: str = "residual",
        attention_bias: float = 4.0,
        pooling: str = "gem",
        pooling_options: Mapping[str, Any] | None = None,
        regional: bool = False,
        whitening_dimension: int = 0,
        batch_norm: str = "frozen_statistics",
        preprocessing: Mapping[str, Any] | None = None,
        local_dimension: int = 0,
        local_map: str = "C4",
        local_options: Mapping[str, Any] | None = None,
        dtype: str | keras.DTypePolicy | None = None,
        name: str = "agem",
    ):
        policy = keras.dtype_policies.get(dtype)
        network = create_backbone(
            backbone,
            weights,
            batch_norm=batch_norm,
            preprocessing=preprocessing,
            attention=attention,
            attention_placement=attention_placement,
            attention_merge=attention_merge,
            attention_bias=attention_bias,
            dtype=policy,
        )
        maps = {"feature_map": feature_map}
        if local_dimension:
            maps["local_map"] = local_map
        for argument, value in maps.items():
            if value not in network.feature_layers:
                raise ValueError(
                    f"`{argument}` must be one of "
                    f"{list(network.feature_layers)} for {backbone}. "
                    f"Received: {argument}={value!r}"
                )
        _check_placement(attention, attention_placement, feature_map)
        descriptors = _describe(
            network.output[feature_map],
            pooling,
            pooling_options or {},
            regional,
            whitening_dimension,
        )
        if local_dimension:
            branch = LocalBranch(
                local_dimension,
                **(local_options or {}),
                name="local_branch",
                dtype="float32",
            )
            # Hands the descriptors through, so that the layers of the branch
            # are on a path to the model's output and belong to it.
            outputs = branch(descriptors, network.output[local_map])
            descriptors = outputs["descriptors"]
        super().__init__(network.inputs[0], descriptors, name=name)
        # A functional model has the global policy otherwise.
        self.dtype_policy = policy
        self._parts = _Parts(self, network.feature_layers)
        self.backbone = backbone
        self.feature_map = feature_map
        self.attention = attention
        self.attention_placement = attention_placement
        self.attention_merge = attention_merge
        self.attention_bias = attention_bias
        self.pooling = pooling
        self.pooling_options = pooling_options
        self.regional = regional
        self.whitening_dimension = whitening_dimension
        self.batch_norm = batch_norm
        self.preprocessing = preprocessing
        self.local_dimension = local_dimension
        self.local_map = local_map
        self.local_options = dict(local_options or {})

    @property
    def dimension(self) -> int:
        """Number of components of a descriptor."""
        return self.output_shape[-1]

    def least_side(self) -> int:
        """Returns the least side of an image, in pixels, that leaves a map.

        It is a power of two. A network that pads all its convolutions takes a
        single pixel; VGG, which pools four times without padding, takes 16.
        """
        return self._parts.least_side

    def stage_variables(self) -> dict[str, frozenset[str]]:
        """Returns the paths of the variables up to each feature map.

        Attention is in no stage; see `agem_tf.backbones.stages`.

        Returns:
            By name of the map, for the maps that the descriptor depends on.
        """
        return stage_variables(self, self._parts.feature_layers)

    def local_network(self) -> keras.Model:
        """Returns the network from images to local features and their scores.

        Without a local branch, the features are the positions of the pooled
        map and the scores their L2 norms, by which DELF's paper selects before
        an attention is trained.

        Returns:
            A model that shares the variables, from images (batch, height,
            width, 3) to {"features": (batch, map height, map width, channels)
            float32, not normalized, "scores": (batch, map height, map width)
            float32}.
        """
        return self._parts.local

    def map_network(self) -> keras.Model:
        """Returns the network to the map whose positions are described.

        Returns:
            A model from images to (batch, map height, map width, channels).
        """
        return self._parts.described_map

    def joint_network(self) -> keras.Model:
        """Returns the network to all that the joint model is trained with.

        Returns:
            A model that shares the variables, from images to {"descriptors":
            (batch, dimension), "attended": (batch, channels), the mean of the
            reconstructed features weighted by attention, and
            "reconstruction_error": (batch,)}; see `layers.LocalBranch`.

        Raises:
            ValueError: The model has no local branch.
        """
        return self._parts.joint

    def save_preset(
        self,
        directory: str | os.PathLike,
        image: ImageConfig | None = None,
        extraction: ExtractionConfig | None = None,
    ) -> None:
        """Writes a directory that `agem_tf.load` opens.

        Args:
            directory: Replaced as a whole if it holds an earlier preset.
            image: How photos are resized.
            extraction: Scales of the photos.

        Raises:
            UserError: The directory holds other files.
        """
        write_preset(self, directory, image, extraction)

    def attention_maps(self, images: Any) -> Any:
        """Returns where the last attention of the network looks.

        Args:
            images: (batch, height, width, 3), RGB in [0, 255].

        Returns:
            (batch, map height, map width), float32: the spatial weights of the
            last CBAM, or the scores of the last of AGeM's units averaged over
            channels, both in (0, 1). Without attention, the L2 norm of the
            pooled map at each position, divided by the image's largest: in
            [0, 1], and not an attention.
        """
        features = self.attended_network()(images, training=False)
        return self.attention_of(features)

    def attended_network(self) -> keras.Model:
        """Returns the network to the map that the last attention looks at.

        Returns:
            A model from images to (batch, map height, map width, channels);
            without attention, to the map that is pooled.
        """
        network, _ = self._parts.attended
        return network

    def attention_of(self, features: Any) -> Any:
        """Returns what `attention_maps` returns.

        Args:
            features: output of `attended_network`.
        """
        _, attention = self._parts.attended
        if attention is not None:
            maps = ops.cast(attention.attention(features), "float32")
            return ops.mean(maps, axis=-1)
        energy = ops.norm(ops.cast(features, "float32"), axis=-1)
        largest = ops.max(energy, axis=(1, 2), keepdims=True)
        return energy / ops.maximum(largest, keras.config.epsilon())

    def get_config(self):
        placement = self.attention_placement
        if not isinstance(placement, str):
            placement = list(placement)
        return {
            "name": self.name,
            "backbone": self.backbone,
            "feature_map": self.feature_map,
            "attention": self.attention,
            "attention_placement": placement,
            "attention_merge": self.attention_merge,
            "attention_bias": self.attention_bias,
            "pooling": self.pooling,
            "pooling_options": dict(self.pooling_options or {}),
            "regional": self.regional,
            "whitening_dimension": self.whitening_dimension,
            "batch_norm": self.batch_norm,
            "preprocessing": dict(self.preprocessing or {}),
            "local_dimension": self.local_dimension,
            "local_map": self.local_map,
            "local_options": dict(self.local_options),
            "dtype": self.dtype_policy.name,
        }


class _Parts:
    """Models over the first layers of an `AGeM`, built when they are needed.

    As attributes of the `AGeM` itself they would be saved with it.
    """

    def __init__(self, model: AGeM, feature_layers: Mapping[str, str]):
        self._model, self.feature_layers = model, dict(feature_layers)

    @functools.cached_property
    def attended(self) -> tuple[keras.Model, keras.layers.Layer | None]:
        """The network before its last attention layer, and that layer.

        Without attention, the network before the pooling, and None.
        """
        model, last = self._model, None
        for layer in model.layers:
            if isinstance(layer, CBAM | AttentionUnit):
                last = layer
        source = last or model.get_layer("pooling")
        return keras.Model(model.inputs[0], source.input), last

    @functools.cached_property
    def described_map(self) -> keras.Model:
        """See `AGeM.map_network`."""
        features = self._model.get_layer("pooling").input
        if self._model.local_dimension:
            _, features = self._model.get_layer("local_branch").input
        return keras.Model(self._model.inputs[0], features)

    @functools.cached_property
    def local(self) -> keras.Model:
        """See `AGeM.local_network`."""
        model = self._model
        if model.local_dimension:
            maps = self._branch_outputs("features", "scores")
        else:
            features = ops.cast(model.get_layer("pooling").input, "float32")
            maps = {"features": features, "scores": ops.norm(features, axis=-1)}
        return keras.Model(model.inputs[0], maps, name=f"local_{model.name}")

    @functools.cached_property
    def joint(self) -> keras.Model:
        """See `AGeM.joint_network`."""
        model = self._model
        if not model.local_dimension:
            raise ValueError(
                "The model has no local branch. Received: local_dimension=0"
            )
        outputs = self._branch_outputs(
            "descriptors", "attended", "reconstruction_error"
        )
        return keras.Model(model.inputs[0], outputs, name=f"joint_{model.name}")

    def _branch_outputs(self, *names: str) -> dict[str, Any]:
        # Keras flattens the dictionary that the layer returned.
        flat = self._model.get_layer("local_branch").output
        outputs = dict(zip(LocalBranch.OUTPUTS, flat, strict=True))
        return {name: outputs[name] for name in names}

    @functools.cached_property
    def least_side(self) -> int:
        """See `AGeM.least_side`."""
        features = self._model.get_layer("pooling").input
        network = keras.Model(self._model.inputs[0], features)
        for side in (1, 2, 4, 8, 16, 32, 64, 128):
            image = keras.KerasTensor((1, side, side, 3))
            try:
                shape = network.compute_output_spec(image).shape
            except ValueError:
                continue
            if min(shape[1:3]) > 0:
                return side
        raise ValueError(f"{self._model.name} leaves no map of 128 pixels.")


def _check_placement(attention, placement, feature_map) -> None:
    """Refuses attention on maps that the descriptor does not depend on."""
    last = "C5" if attention == "agem" else max(placement, default="C2")
    if attention == "cbam" and tuple(placement) == BLOCKS:
        return
    if attention != "none" and last > feature_map:
        raise ValueError(
            f"attention {attention!r} enters at {last}, after the map that is "
            f"pooled. Received: feature_map={feature_map!r}"
        )


def _describe(
    features: Any,
    pooling: str,
    options: Mapping[str, Any],
    regional: bool,
    whitening_dimension: int,
) -> Any:
    """Turns the attended map into descriptors, in float32 throughout."""
    whitening = None
    if whitening_dimension:
        whitening = Whitening(
            whitening_dimension, name="whitening", dtype="float32"
        )
    name = "region_pooling" if regional else "pooling"
    create_pooling = registry.factory("pooling", pooling)
    layer = create_pooling(**options, name=name, dtype="float32")
    if regional:
        layer = Regional(
            layer, whitening=whitening, name="pooling", dtype="float32"
        )
    descriptors = layer(features)
    if whitening is not None and not regional:
        normalize = L2Normalization(name="pooled", dtype="float32")
        descriptors = whitening(normalize(descriptors))
    return L2Normalization(name="descriptors", dtype="float32")(descriptors)
