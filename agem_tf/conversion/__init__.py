"""Networks of PyTorch become runs that every other command takes.

Networks, weights and whitening come from files alone: PyTorch is not needed,
and nothing in the files is executed.
"""

from agem_tf.conversion.converted_run import Converted, recipe, write
from agem_tf.conversion.descriptor_network import Network
from agem_tf.conversion.recognition import read

__all__ = ["Converted", "Network", "read", "recipe", "write"]
