"""Batch normalization with fixed statistics, and the choice of a kind.

Retrieval fine-tunes with few images of very different sizes per step. Their
statistics are worse than those of the pretraining, and would differ between
replicas.
"""

from typing import Any

import keras

# Kinds for layers that are new, and therefore train gamma and beta.
TRAINED_BATCH_NORMS = ("trainable", "frozen_statistics")


@keras.saving.register_keras_serializable(package="agem_tf")
class FrozenStatisticsBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization that always uses its moving statistics.

    `y = gamma * (x - moving_mean) / sqrt(moving_variance + epsilon) + beta`

    `gamma` and `beta` are trainable; the moving statistics change only by
    assignment or by loading weights.

    Args:
        **kwargs: Arguments of `keras.layers.BatchNormalization`.

    Input shape:
        Any shape that `keras.layers.BatchNormalization` takes.

    Output shape:
        Same shape as the input.

    Example:

    >>> layer = FrozenStatisticsBatchNormalization()
    >>> layer(keras.random.uniform((2, 7, 9, 16)), training=True)
    >>> layer.moving_mean  # still zeros

    Reference:
        [Radenovic et al., 2018](https://arxiv.org/abs/1711.02512)
    """

    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, training=False, mask=mask)


def check_batch_norm(batch_norm: str) -> None:
    """Checks the `batch_norm` of an attention layer.

    Raises:
        ValueError: It is not one of `TRAINED_BATCH_NORMS`.
    """
    if batch_norm not in TRAINED_BATCH_NORMS:
        raise ValueError(
            f"`batch_norm` must be one of {TRAINED_BATCH_NORMS}. "
            f"Received: batch_norm={batch_norm!r}"
        )


def batch_normalization(
    batch_norm: str, epsilon: float = 1e-5, **options: Any
) -> keras.layers.Layer:
    """Returns a batch normalization of a kind.

    Args:
        batch_norm: "trainable", "frozen_statistics", or "frozen", which trains
            neither gamma and beta nor the statistics.
        epsilon: Added to the variance.
        **options: Further arguments of the layer.
    """
    if batch_norm == "frozen_statistics":
        return FrozenStatisticsBatchNormalization(epsilon=epsilon, **options)
    return keras.layers.BatchNormalization(
        epsilon=epsilon, trainable=batch_norm != "frozen", **options
    )
