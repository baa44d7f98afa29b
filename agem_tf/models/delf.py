"""DELF, attentive local features: descriptors first, keypoints by attention."""

import functools
import os
from typing import Any

import keras
from keras import ops

from agem_tf.models.agem import AGeM


@keras.saving.register_keras_serializable(package="agem_tf")
class DELF(AGeM):
    """Local descriptors of an image, and a score for each of them.

    The positions of one feature map are the descriptors, and an attention
    scores them: one forward pass describes first and selects then. Training
    needs labels of whole images only. They reach the attention through the
    mean of the features, weighted by their scores, whose L2-normalized vector
    is this network's output and a global descriptor:

    `d = L2N(mean over positions of A(x) * L2N(x))`

    `local_network` has the maps of features and scores.

    Args:
        backbone: One of `agem_tf.registry.names("backbone")`.
        weights: As for `AGeM`.
        feature_map: The map whose positions are described; "C4" has stride 16.
        attention: As for `AGeM`: attention inside the backbone, which DELF
            does not have.
        pooling: "attentive"; its `pooling_options` are the arguments of
            `layers.AttentivePooling`.
        name: Name of the model.
        **options: The other arguments of `AGeM`.

    Input shape:
        (batch, height, width, 3), RGB in [0, 255], of any size.

    Output shape:
        (batch, channels), float32 of unit norm.

    Raises:
        ValueError: The pooling has no attention, or parts do not fit each
            other.
        UserError: The weights cannot be found, read or fitted.

    Example:
        >>> model = DELF("resnet50", "imagenet")
        >>> maps = model.local_network()(images)
        >>> maps["features"].shape  # (batch, height / 16, width / 16, 1024)
        >>> maps["scores"].shape  # (batch, height / 16, width / 16)

    Reference:
        [Noh et al., 2017](https://arxiv.org/abs/1612.06321)
    """

    def __init__(
        self,
        backbone: str = "resnet50",
        weights: str | os.PathLike | None = None,
        feature_map: str = "C4",
        attention: str = "none",
        pooling: str = "attentive",
        name: str = "delf",
        **options: Any,
    ):
        unfit = {
            name: options[name]
            for name in ("regional", "local_dimension")
            if options.get(name)
        }
        if pooling != "attentive" or unfit:
            raise ValueError(
                "DELF pools whole maps by its attention. Received: "
                f"pooling={pooling!r}, {unfit}"
            )
        super().__init__(
            backbone,
            weights,
            feature_map,
            attention=attention,
            pooling=pooling,
            name=name,
            **options,
        )
        self._local_parts = _LocalParts(self)

    def local_network(self) -> keras.Model:
        """Returns the network from images to features and scores.

        Returns:
            A model that shares the variables, from images (batch, height,
            width, 3) to {"features": (batch, map height, map width,
            channels) float32, not normalized, "scores": (batch, map height,
            map width) float32}.
        """
        return self._local_parts.maps

    def pooled_network(self) -> keras.Model:
        """Returns the network to the pooled features, before their L2 norm.

        Its length says how much the network finds in an image, which a
        classifier in training can use.
        """
        return self._local_parts.pooled

    def attention_maps(self, images: Any) -> Any:
        """Returns the scores of positions, divided by the image's largest.

        Args:
            images: (batch, height, width, 3), RGB in [0, 255].

        Returns:
            (batch, map height, map width) float32 in [0, 1].
        """
        return super().attention_maps(images)

    def attended_network(self) -> keras.Model:
        """See `AGeM.attended_network`: the map whose positions are scored."""
        return self.map_network()

    def attention_of(self, features: Any) -> Any:
        """See `AGeM.attention_of`."""
        scores = self.get_layer("pooling").attention(features)
        scores = ops.cast(ops.squeeze(scores, -1), "float32")
        return scores / ops.max(scores, axis=(1, 2), keepdims=True)


class _LocalParts:
    """Models over the layers of a `DELF`, built when they are needed.

    As attributes of the `DELF` itself they would be saved with it.
    """

    def __init__(self, model: DELF):
        self._image, self._name = model.inputs[0], model.name
        self._pooling = model.get_layer("pooling")

    @functools.cached_property
    def maps(self) -> keras.Model:
        """See `DELF.local_network`."""
        features = self._pooling.input
        scores = ops.squeeze(self._pooling.attention(features), -1)
        maps = {
            "features": ops.cast(features, "float32"),
            "scores": ops.cast(scores, "float32"),
        }
        return keras.Model(self._image, maps, name=f"local_{self._name}")

    @functools.cached_property
    def pooled(self) -> keras.Model:
        """See `DELF.pooled_network`."""
        output = self._pooling.output
        return keras.Model(self._image, output, name=f"pooled_{self._name}")
