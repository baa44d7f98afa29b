"""Batch normalization with fixed statistics, and the choice of a kind.

Retrieval fine-tunes with a few images of very different sizes a step, whose
statistics are worse than those of the pretraining; they would also differ from
replica to replica.
"""

from typing import Any

import keras

BATCH_NORMS = ("trainable", "frozen_statistics")


@keras.saving.register_keras_serializable(package="agem_tf")
class FrozenStatisticsBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization that always uses its moving statistics.

    `y = gamma * (x - moving_mean) / sqrt(moving_variance + epsilon) + beta`

    `gamma` and `beta` are trainable; the moving statistics change only by
    assignment or by loading weights.

    Args:
        **kwargs: the arguments of `keras.layers.BatchNormalization`.

    Input shape:
        Any, as of `keras.layers.BatchNormalization`.

    Output shape:
        The same.

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
    """Raises ValueError unless `batch_norm` is one of `BATCH_NORMS`."""
    if batch_norm not in BATCH_NORMS:
        raise ValueError(
            f"`batch_norm` must be one of {BATCH_NORMS}. "
            f"Received: batch_norm={batch_norm!r}"
        )


def batch_normalization(batch_norm: str, **options: Any) -> keras.layers.Layer:
    """Builds the batch normalization of an attention layer.

    Args:
        batch_norm: one of `BATCH_NORMS`.
        **options: arguments of the layer.
    """
    frozen = batch_norm == "frozen_statistics"
    kind = (
        FrozenStatisticsBatchNormalization
        if frozen
        else keras.layers.BatchNormalization
    )
    return kind(momentum=0.99, epsilon=1e-5, **options)
