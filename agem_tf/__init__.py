from typing import Any


def load(source: Any) -> Any:
    """Opens a preset: a trained network as a `keras.Model`.

    Args:
        source: Directory of a preset, "hf://USER/REPOSITORY[@REVISION]", or
            the name of a network with ImageNet weights; see
            `agem_tf.config.NETWORK_NAMES`.

    Returns:
        An `agem_tf.models.AGeM` or `agem_tf.models.DELF`.

    Raises:
        agem_tf.errors.UserError: There is no such preset, or it is damaged.

    Example:
        >>> model = agem_tf.load("exported/preset")
        >>> descriptors = model(images)
    """
    # `import agem_tf` stays free of TensorFlow's seconds.
    from agem_tf.models.presets import open_preset

    return open_preset(source)
