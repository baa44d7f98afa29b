"""RootSIFT, the classical local features; needs no TensorFlow."""

import cv2
import numpy as np

from agem_tf.descriptors.local_features import LocalFeatures
from agem_tf.extraction.single_scale import SingleScaleExtractor

# Diameter in pixels of the smallest features.
_SMALLEST = 2 * 1.6


class RootSift(SingleScaleExtractor):
    """OpenCV's SIFT with the square roots of its L1-normalized histograms.

    The Euclidean distance of the roots is the Hellinger distance of the
    histograms.

    Reference: Arandjelovic and Zisserman, CVPR 2012.
    """

    name = "rootsift"
    dimension = 128

    def detect(self, pixels: np.ndarray) -> LocalFeatures:
        """See the base class."""
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        # OpenCV takes 32 bits.
        most = min(self.most, np.iinfo(np.int32).max)
        sift = cv2.SIFT_create(nfeatures=most)
        keypoints, histograms = sift.detectAndCompute(grey, None)
        if not keypoints:
            return LocalFeatures.none(self.dimension, grey.shape)
        sums = histograms.sum(axis=1, keepdims=True)
        return LocalFeatures(
            np.array([keypoint.pt for keypoint in keypoints]),
            np.sqrt(histograms / np.maximum(sums, 1)),
            np.array([keypoint.response for keypoint in keypoints]),
            np.array([keypoint.size for keypoint in keypoints]) / _SMALLEST,
            grey.shape,
        )
