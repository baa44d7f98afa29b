"""Networks of PyTorch become runs that every other command takes.

Networks, weights and whitening come from files alone: PyTorch is not needed,
and nothing in the files is executed.
"""

from agem_tf.conversion.checkpoint import read
from agem_tf.conversion.network import Network
from agem_tf.conversion.run import Converted, recipe, write

__all__ = ["Converted", "Network", "read", "recipe", "write"]
