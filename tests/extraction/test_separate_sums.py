"""Sums are fused into convolutions only where nothing is copied."""

import collections

import keras
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from agem_tf.extraction.folding import folded, merged
from agem_tf.extraction.separate_sums import with_separate_sums
from agem_tf.models import AGeM


@pytest.mark.parametrize("attention", ["agem", "cbam"])
@pytest.mark.parametrize("fold", [merged, lambda model: folded(model, [])])
def test_no_fused_sum_has_a_summand_with_other_readers(attention, fold):
    keras.utils.set_random_seed(0)
    network = fold(AGeM("resnet50_half", attention=attention))
    call = tf.function(lambda images: network(images, training=False))
    context.enable_run_metadata()
    call(tf.zeros((1, 64, 64, 3)))
    graphs = context.export_run_metadata().partition_graphs
    context.disable_run_metadata()
    nodes = [node for graph in graphs for node in graph.node]
    readers = collections.Counter(
        name.split(":")[0] for node in nodes for name in node.input
    )
    for node in nodes:
        if b"Add" in node.attr["fused_ops"].list.s:
            # The block and its sum.
            assert readers[node.input[3].split(":")[0]] <= 2


def test_the_network_stays_the_same():
    keras.utils.set_random_seed(0)
    model = AGeM("resnet50_half", attention="agem")
    network = with_separate_sums(model)
    changed = [
        layer.name
        for layer in network.layers
        if layer.name.startswith("separate_")
    ]
    # The blocks that follow the first and the second attention unit.
    assert changed == ["separate_conv5_block2_add", "separate_conv5_block3_add"]
    images = keras.random.uniform((2, 64, 48, 3), 0, 255)
    tf.debugging.assert_near(network(images), model(images), atol=1e-6)
