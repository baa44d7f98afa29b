"""Local features of XFeat, which need no training and no PyTorch."""

import numpy as np
import tensorflow as tf

from agem_tf.descriptors.local_features import LocalFeatures
from agem_tf.extraction.single_scale import SingleScaleExtractor
from agem_tf.models.xfeat import DIMENSION, STRIDE, XFeat


class XFeatFeatures(SingleScaleExtractor):
    """Keypoints and descriptors of the pretrained XFeat.

    The network runs on one photo of any size at a time, compiled once.

    Raises:
        UserError: the package with the weights is not installed.
    """

    name = "xfeat-0.1.4"
    dimension = DIMENSION
    multiple = STRIDE

    def __init__(self, most: int = 1000, side: int = 1024) -> None:
        super().__init__(most, side)
        model = XFeat("pretrained")
        self._detect = tf.function(
            lambda images: model.detect(images, most),
            input_signature=[tf.TensorSpec((1, None, None, 3), tf.float32)],
            # To convert the code would double the time of the first call.
            autograph=False,
        )

    def detect(self, pixels: np.ndarray) -> LocalFeatures:
        """See the base class."""
        outputs = self._detect(pixels[np.newaxis].astype(np.float32))
        keypoints, scores, descriptors = (
            outputs[name].numpy()[0]
            for name in ("keypoints", "scores", "descriptors")
        )
        found = scores > 0
        return LocalFeatures(
            keypoints[found],
            descriptors[found],
            scores[found],
            np.ones(np.count_nonzero(found)),
            pixels.shape[:2],
        )
