import signal
import sys

# Ctrl-C while `python -m agem_tf.COMMAND` imports ends it without a traceback;
# `cli.run` switches back. sys.argv is "-m" until the module is found.
if (
    sys.argv[:1] == ["-m"]
    and any(word.startswith("agem_tf.") for word in sys.orig_argv)
    and signal.getsignal(signal.SIGINT) is signal.default_int_handler
):
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from typing import Any  # noqa: E402


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
