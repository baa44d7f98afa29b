"""VLAD: the residuals of local features, summed per word.

Reference: Jegou et al., Aggregating Local Image Descriptors into Compact
Codes, TPAMI 2012; the normalization per word is that of Arandjelovic and
Zisserman, All About VLAD, CVPR 2013.
"""

import numpy as np

from agem_tf.retrieval.local_indexes.codebook import Codebook


def vlad(descriptors: np.ndarray, codebook: Codebook) -> np.ndarray:
    """Aggregates the descriptors of a photo.

    v_c = sum of x - c over the descriptors x whose nearest word is c; each v_c
    is divided by its length, and so is their concatenation.

    Args:
        descriptors: (features, dimension).
        codebook: the words c.

    Returns:
        (words * dimension,) float32 of unit length; zeros without features.
    """
    words = codebook.assign(descriptors)[:, 0]
    occupied, sums = residual_sums(descriptors, words, codebook)
    vectors = np.zeros(codebook.words.shape, np.float32)
    vectors[occupied] = sums
    whole = vectors.ravel()
    return whole / max(float(np.linalg.norm(whole)), 1e-12)


def residual_sums(
    descriptors: np.ndarray, words: np.ndarray, codebook: Codebook
) -> tuple[np.ndarray, np.ndarray]:
    """Sums the residuals of the descriptors of each word.

    Args:
        descriptors: (features, dimension).
        words: (features,) the word that each is assigned to.
        codebook: the words.

    Returns:
        (occupied words,) rising, and (occupied words, dimension) float32, the
        sums divided by their lengths; zeros where residuals cancel out.
    """
    occupied, groups = np.unique(words, return_inverse=True)
    residuals = np.asarray(descriptors, np.float32) - codebook.words[words]
    sums = np.zeros((len(occupied), codebook.dimension), np.float32)
    np.add.at(sums, groups.reshape(-1), residuals)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return occupied, sums / np.maximum(lengths, 1e-12)
