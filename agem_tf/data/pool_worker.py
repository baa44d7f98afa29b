"""How a process of a pool begins; here, because this imports no TensorFlow."""

import importlib
import multiprocessing
import os
import threading

from agem_tf import native_output


def end_with_parent() -> None:
    """Ends this process when the one that started it is gone.

    Else the processes of a killed command wait for work for ever.
    """
    threading.Thread(target=_wait_and_end, daemon=True).start()


def start() -> None:
    """Imports TensorFlow without its greetings, and without its GPUs.

    Each process would print the one and take all memory of the others.
    """
    end_with_parent()
    with native_output.captured():
        tensorflow = importlib.import_module("tensorflow")
        tensorflow.config.set_visible_devices([], "GPU")


def _wait_and_end() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
