"""Verdicts as rows of text."""

import pytest

from agem_tf.compilation.chips import parse_topology
from agem_tf.compilation.compiler import Costs, Refusal, Target
from agem_tf.compilation.lowering import Program
from agem_tf.compilation.verdict_table import describe
from agem_tf.compilation.verdicts import LargestBatch, Verdict

TOPOLOGY = parse_topology("v5e:2x2")
GIB = 2**30
TRAINING = Program("training 64x96", "tuples", 7, 5, str)


def table(*verdicts):
    return describe(Target(TOPOLOGY, "libtpu 1", 4), verdicts)


def test_a_row_has_what_a_roofline_says():
    # 1.97 TFLOP take 10 ms of 197 TFLOP/s, 16.38 GB 20 ms of 819 GB/s.
    costs = Costs(flops=1.97e12, bytes=16.38e9, memory=3 * GIB, fixed=GIB)
    text = table(Verdict(TRAINING, costs, LargestBatch(26, compiled=True)))
    row = next(line for line in text.splitlines() if "training 64x96" in line)
    assert row.split()[1:6] == ["64x96", "5", "tuples", "yes", "3.00"]
    # 35 images in 20 ms, half of which the arithmetic takes.
    costs = ["1970.0", "16.38", "20.00", "memory", "50%", "1750"]
    assert row.split()[6:] == [*costs, "26"]


def test_the_title_cites_the_chip():
    text = table(Verdict(TRAINING, Costs(1.0, 1.0, 1.0, 1.0)))
    assert "https://cloud.google.com/tpu/docs/v5e" in text
    assert "v5e:2x2, 4 replica(s), compiled by libtpu 1" in text


@pytest.mark.parametrize(("memory", "cell"), [(20 * GIB, "20.00"), (None, "-")])
def test_a_refused_program_has_its_reason(memory, cell):
    text = table(Verdict(TRAINING, Refusal("too large, says libtpu", memory)))
    row = next(line for line in text.splitlines() if "5 tuples" in line)
    assert row.split()[4:6] == ["no", cell]
    assert "training 64x96: too large, says libtpu" in text


def test_an_extrapolated_batch_is_called_so():
    verdict = Verdict(
        TRAINING, Costs(1.0, 1.0, 1.0, 1.0), LargestBatch(26, compiled=False)
    )
    assert "about 26" in table(verdict)


def test_small_numbers_keep_two_digits():
    text = table(Verdict(TRAINING, Costs(1.97e6, 81.9e3, GIB / 200, GIB)))
    row = next(line for line in text.splitlines() if "5 tuples" in line)
    assert row.split()[5:9] == ["0.005", "0.0", "8.2e-05", "0.0001"]
