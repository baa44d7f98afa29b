"""The memory optimizer is off, and functions still run."""

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2
from tensorflow.python.eager import context

from agem_tf.training.graph_rewriting import keep_sums_in_loops


def test_functions_run_without_the_memory_optimizer():
    keep_sums_in_loops()
    options = context.context().function_call_options
    config = config_pb2.ConfigProto.FromString(options.config_proto_serialized)
    chosen = config.graph_options.rewrite_options.memory_optimization
    assert chosen == rewriter_config_pb2.RewriterConfig.NO_MEM_OPT

    @tf.function
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.constant(0.0)
            for _ in tf.range(3):
                total += tf.reduce_sum(x * x + x + tf.sin(x))
        return tape.gradient(total, x)

    x = tf.ones(2)
    tf.debugging.assert_near(gradient(x), 3 * (2 * x + 1 + tf.cos(x)))
