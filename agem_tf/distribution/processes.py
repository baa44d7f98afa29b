"""Worker processes that end with the command that started them.

This module does not import TensorFlow, so that workers which do not need it
start fast.
"""

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """Ends this process when its parent has ended.

    Otherwise the workers of a killed command wait for work forever.
    """

    def wait() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
