"""Schedules per step decay a base rate after a linear warm-up."""

import pytest

from agem_tf.config import OptimizerConfig
from agem_tf.errors import UserError
from agem_tf.training.schedules import create_schedule

PIECES = {"boundaries": [3], "values": [1.0, 0.1]}


@pytest.mark.parametrize(
    ("schedule", "options", "factors"),
    [
        ("constant", {}, [1, 1, 1, 1]),
        # (1 + cos(pi * step / 4)) / 2, and no less than alpha.
        ("cosine", {}, [1, 0.8535534, 0.5, 0.1464466]),
        ("cosine", {"decay_steps": 2, "alpha": 0.2}, [1, 0.6, 0.2, 0.2]),
        ("exponential", {"decay_rate": 0.0625}, [1, 0.5, 0.25, 0.125]),
        ("piecewise", PIECES, [1, 1, 1, 1]),
        ("polynomial", {"end_learning_rate": 0}, [1, 0.75, 0.5, 0.25]),
    ],
)
def test_factors_begin_after_the_warm_up(schedule, options, factors):
    config = OptimizerConfig(
        0.02, schedule=schedule, schedule_options=options, warmup_steps=2
    )
    rate = create_schedule(config, total_steps=6)
    expected = [1 / 3, 2 / 3, *factors]
    for step, factor in enumerate(expected):
        assert float(rate(step)) == pytest.approx(0.02 * factor, rel=1e-5)
        scaled = rate.scaled(10.0)
        assert float(scaled(step)) == pytest.approx(0.2 * factor, rel=1e-5)


def test_pieces_end_at_their_boundaries():
    config = OptimizerConfig(
        0.02, schedule="piecewise", schedule_options=PIECES
    )
    rate = create_schedule(config, total_steps=6)
    assert [float(rate(step)) for step in (3, 4)] == pytest.approx(
        [0.02, 0.002]
    )


def test_without_a_schedule_rates_change_per_epoch():
    assert create_schedule(OptimizerConfig(), total_steps=6) is None


@pytest.mark.parametrize(
    ("schedule", "options"),
    [
        ("exponential", {}),
        ("cosine", {"power": 2}),
        ("piecewise", {"boundaries": [1], "values": [1.0]}),
    ],
)
def test_options_of_another_schedule_are_refused(schedule, options):
    config = OptimizerConfig(schedule=schedule, schedule_options=options)
    with pytest.raises(UserError, match=f"schedule={schedule} can't be built"):
        create_schedule(config, total_steps=6)
