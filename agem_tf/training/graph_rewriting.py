"""A setting of TensorFlow's graph optimizer that training needs."""

from tensorflow.core.protobuf import rewriter_config_pb2
from tensorflow.python.eager import context


def keep_sums_in_loops() -> None:
    """Switches off the memory optimizer for functions of this thread.

    It replaces sums of three or more gradients by a temporary variable. Inside
    the gradient of the loop over the shapes of a batch, two of them then have
    one name, and training ends with AlreadyExistsError: so it was with the
    attention units of the AGeM paper, whose input three layers read. It acts
    on large networks only, because it assumes a CPU to have 256 MB.

    TensorFlow has no public option for it. Later calls of `tf.config` switch it
    on again.
    """
    config = context.context().config
    rewriting = config.graph_options.rewrite_options
    rewriting.memory_optimization = (
        rewriter_config_pb2.RewriterConfig.NO_MEM_OPT
    )
    options = context.context().function_call_options
    options.config_proto_serialized = config
