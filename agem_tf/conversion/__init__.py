"""Networks of PyTorch become runs that every other command takes.

Networks, weights and whitenings come from files alone: PyTorch is not needed,
and nothing in the files is executed.
"""

from agem_tf.conversion.converted_run import (
    Converted,
    converted_recipe,
    write_run,
)
from agem_tf.conversion.pytorch_networks import PyTorchNetwork, read_network

__all__ = [
    "Converted",
    "PyTorchNetwork",
    "converted_recipe",
    "read_network",
    "write_run",
]
