"""Names of topologies, and the chips that they are made of."""

import pytest

from agem_tf.compilation.chips import CHIPS, parse_topology
from agem_tf.errors import UserError


@pytest.mark.parametrize("name", ["v5e:2x2", "v6e:2x4", "v4:2x2x1"])
def test_a_topology_knows_its_chip(name):
    topology = parse_topology(name)
    assert topology.name == name
    assert topology.chip is CHIPS[name.partition(":")[0]]


@pytest.mark.parametrize("name", ["v5e", "v5e-4", "v9:2x2", "v5e:", "v5e:4"])
def test_another_name_is_refused_with_examples(name):
    with pytest.raises(UserError, match=r"--topology=.*v5e:2x2.*known"):
        parse_topology(name)
