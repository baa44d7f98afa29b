"""How a spawned process begins; here, because this imports no TensorFlow."""

import importlib

from agem_tf import native_output


def start() -> None:
    """Imports TensorFlow without its greetings, and without its GPUs.

    Each process would print the one and take all memory of the others.
    """
    with native_output.captured():
        tensorflow = importlib.import_module("tensorflow")
        tensorflow.config.set_visible_devices([], "GPU")
