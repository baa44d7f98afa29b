"""Rules give each variable its learning rate and decay."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from agem_tf.config import OptimizerConfig, OptimizerRule
from agem_tf.errors import UserError
from agem_tf.training.optimizers import RuleOptimizer, assign_rules


@pytest.fixture
def variables():
    layer = keras.layers.Dense(3, name="head")
    layer.build((None, 2))
    pooling = keras.layers.PReLU(name="pooling", shared_axes=[1])
    pooling.build((None, 4))
    return [*layer.trainable_variables, *pooling.trainable_variables]


def adam_step(value, gradient, rate, epsilon=1e-7):
    """First step of Adam: the bias-corrected moments are g and g squared."""
    epsilon /= np.sqrt(1 - 0.999)
    return value - rate * gradient / (np.abs(gradient) + epsilon)


def test_each_rule_has_its_rate_and_decay(variables):
    rules = [
        OptimizerRule("pooling/*", 10.0, 0.0),
        OptimizerRule("*", 1.0, 0.5),
    ]
    optimizer = RuleOptimizer(OptimizerConfig(0.01, 0.3, rules), variables)
    base = optimizer.start_epoch(0)
    assert base == pytest.approx(0.01 * np.exp(-0.3))
    before = {v.path: v.numpy() for v in variables}
    gradients = {v.path: np.full(v.shape, 0.2, np.float32) for v in variables}
    optimizer.apply(
        [tf.constant(gradients[v.path]) for v in optimizer.trainable_variables]
    )
    for variable in variables:
        is_pooling = variable.path.startswith("pooling/")
        decay = 0.0 if is_pooling else 0.5
        expected = adam_step(
            before[variable.path],
            gradients[variable.path] + decay * before[variable.path],
            base * (10 if is_pooling else 1),
        )
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-4)


def test_epsilon_is_that_of_the_recipe(variables):
    gradients = [tf.fill(v.shape, 1e-3) for v in variables]
    for epsilon in (1e-8, 1e-3):
        before = [v.numpy() for v in variables]
        settings = OptimizerConfig(
            0.01, 0.0, [OptimizerRule("*")], epsilon=epsilon
        )
        RuleOptimizer(settings, variables).apply(gradients)
        for variable, value in zip(variables, before, strict=True):
            expected = adam_step(value, 1e-3, 0.01, epsilon)
            np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-4)


def test_a_scale_of_zero_freezes(variables):
    rules = [OptimizerRule("head/*", 0.0), OptimizerRule("*")]
    optimizer = RuleOptimizer(OptimizerConfig(rules=rules), variables)
    paths = [v.path for v in optimizer.trainable_variables]
    assert paths == [v.path for v in variables if v.path.startswith("pooling")]


def test_a_rule_that_matches_nothing_is_an_error(variables):
    rules = [OptimizerRule("gem/"), OptimizerRule("*")]
    with pytest.raises(UserError, match="'gem/' applies to no variable"):
        RuleOptimizer(OptimizerConfig(rules=rules), variables)


def test_a_rule_up_to_a_map_applies_to_its_layers_only(variables):
    stages = {"C2": {"head/bias"}, "C3": {"head/bias", "head/kernel"}}
    rules = [
        OptimizerRule("*kernel", 0.0, up_to="C3"),
        OptimizerRule("*", 0.5, up_to="C3"),
        OptimizerRule("*"),
    ]
    groups = assign_rules(rules, variables, stages)
    assert [[v.path for v in members] for _, members in groups] == [
        ["head/kernel"],
        ["head/bias"],
        ["pooling/alpha"],
    ]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (OptimizerRule("*", up_to="C4"), r"'\*' up to C4 .* network has C2"),
        (OptimizerRule("*kernel", up_to="C2"), r"'\*kernel' up to C2 applies"),
    ],
)
def test_a_rule_up_to_a_map_that_finds_nothing_is_an_error(
    variables, rule, message
):
    with pytest.raises(UserError, match=message):
        assign_rules(
            [rule, OptimizerRule("*")], variables, {"C2": {"head/bias"}}
        )


def test_a_rule_after_a_wider_one_is_an_error(variables):
    rules = [OptimizerRule("*"), OptimizerRule("pooling/*", 10.0)]
    with pytest.raises(UserError, match="'pooling/\\*' applies to no variable"):
        RuleOptimizer(OptimizerConfig(rules=rules), variables)


def test_a_network_without_variables_is_an_error():
    rules = [OptimizerRule("*")]
    with pytest.raises(UserError, match="no trainable variables"):
        RuleOptimizer(OptimizerConfig(rules=rules), [])


def test_the_log_says_what_each_rule_does(variables, caplog):
    rules = [
        OptimizerRule("gem/", 10.0, optional=True),
        OptimizerRule("pooling/*", 0.0),
        OptimizerRule("*", 0.5),
    ]
    with caplog.at_level("INFO", logger="agem_tf"):
        RuleOptimizer(OptimizerConfig(rules=rules), variables)
    assert [record.getMessage() for record in caplog.records] == [
        "Optimizer rule 'gem/': 0 variable(s), learning rate x 10",
        "Optimizer rule 'pooling/*': 1 variable(s), frozen",
        "Optimizer rule '*': 2 variable(s), learning rate x 0.5",
    ]


def test_an_optional_rule_may_match_nothing(variables):
    rules = [OptimizerRule("gem/", optional=True), OptimizerRule("*")]
    optimizer = RuleOptimizer(OptimizerConfig(rules=rules), variables)
    assert len(optimizer.trainable_variables) == len(variables)


def test_a_variable_without_a_rule_is_an_error(variables):
    with pytest.raises(UserError, match="No optimizer rule covers pooling"):
        RuleOptimizer(
            OptimizerConfig(rules=[OptimizerRule("head/*")]), variables
        )


def take_steps(optimizer, sizes):
    """Takes a step per size, with equal gradients for all variables."""
    for size in sizes:
        optimizer.apply(
            [tf.fill(v.shape, size) for v in optimizer.trainable_variables]
        )


def test_the_average_replaces_the_weights_inside_the_block_only(variables):
    momentum, steps = 0.75, [1.0, -2.0, 0.5]
    config = OptimizerConfig(0.1, 0.0, [OptimizerRule("*")], average=momentum)
    optimizer = RuleOptimizer(config, variables)
    with optimizer.averaged():  # No step is taken, so nothing is averaged.
        assert np.ptp(variables[0].numpy()) > 0
    averages = None
    for size in steps:
        take_steps(optimizer, [size])
        weights = [v.numpy().astype(np.float64) for v in variables]
        if averages is None:
            averages = weights
        averages = [
            momentum * average + (1 - momentum) * weight
            for average, weight in zip(averages, weights, strict=True)
        ]
    with optimizer.averaged():
        for variable, average in zip(variables, averages, strict=True):
            np.testing.assert_allclose(variable.numpy(), average, rtol=1e-5)
    for variable, weight in zip(variables, weights, strict=True):
        np.testing.assert_array_equal(variable.numpy(), weight)


def test_gradients_are_clipped_by_the_norm_of_all(variables):
    settings = {"epsilon": 1.0, "clip_norm": 0.5}  # A step has a length.
    rules = [OptimizerRule("pooling/*"), OptimizerRule("*")]
    config = OptimizerConfig(0.01, 0.0, rules, **settings)
    before = {v.path: v.numpy() for v in variables}
    take_steps(RuleOptimizer(config, variables), [3.0])
    count = sum(value.size for value in before.values())
    for variable in variables:
        expected = adam_step(
            before[variable.path], 0.5 / np.sqrt(count), 0.01, epsilon=1.0
        )
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-5)


def test_the_norm_is_that_before_clipping(variables):
    count = sum(int(np.prod(v.shape)) for v in variables)
    for settings, expected in (
        ({"measures_norm": True}, 3 * np.sqrt(count)),
        ({}, 0.0),
    ):
        config = OptimizerConfig(0.01, 0.0, [OptimizerRule("*")])
        optimizer = RuleOptimizer(config, variables, **settings)
        gradients = [tf.fill(v.shape, 3.0) for v in variables]
        assert float(optimizer.apply(gradients)) == pytest.approx(expected)
        assert optimizer.rate_of_last_step() == pytest.approx(0.01)


def test_gradients_that_overflow_lower_the_loss_scale_and_change_nothing_else(
    variables,
):
    config = OptimizerConfig(0.01, 0.0, [OptimizerRule("*")], clip_norm=0.5)
    scaled = RuleOptimizer(config, variables, scales_loss=True)
    scale = float(scaled.loss_scale)
    before = [v.numpy() for v in variables]
    take_steps(scaled, [np.inf])
    for variable, value in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert float(scaled.loss_scale) == scale / 2 and int(scaled.steps) == 0
    # Gradients of the scaled loss take the step of those of the loss.
    norm = scaled.apply([tf.fill(v.shape, 3 * scale / 2) for v in variables])
    count = sum(int(np.prod(v.shape)) for v in variables)
    assert float(norm) == pytest.approx(3 * np.sqrt(count))
    moved = [v.numpy() for v in variables]
    for variable, value in zip(variables, before, strict=True):
        variable.assign(value)
    take_steps(RuleOptimizer(config, variables), [3.0])
    for variable, value in zip(variables, moved, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, rtol=1e-6)
    # The scale is part of a checkpoint.
    names = [variable.name for variable in scaled.variables]
    assert "dynamic_scale" in names and "step_counter" in names


def test_a_schedule_sets_the_rate_of_every_step_and_rule(variables):
    rules = [OptimizerRule("pooling/*", 10.0), OptimizerRule("*")]
    config = OptimizerConfig(
        0.01,
        0.0,
        rules,
        schedule="polynomial",
        warmup_steps=1,
        schedule_options={"end_learning_rate": 0.0},
    )
    optimizer = RuleOptimizer(config, variables, steps_per_epoch=2, epochs=2)
    # As after a first step whose gradients overflow.
    assert optimizer.rate_of_last_step() == pytest.approx(0.005)
    rates, bases = [], []
    for _ in range(4):
        before = [v.numpy() for v in variables]
        # Equal gradients: every step of Adam has the length of the rate.
        take_steps(optimizer, [1.0])
        bases.append(optimizer.rate_of_last_step())
        rates.append(
            [
                float(np.mean(value - variable.numpy()))
                for value, variable in zip(before, variables, strict=True)
            ]
        )
    base = 0.01 * np.array([1 / 2, 1, 2 / 3, 1 / 3])
    np.testing.assert_allclose(bases, base, rtol=1e-6)
    for variable, steps in zip(variables, np.transpose(rates), strict=True):
        scale = 10 if variable.path.startswith("pooling/") else 1
        np.testing.assert_allclose(steps, scale * base, rtol=1e-3)
    # The row of an epoch has the rate of its last step.
    assert optimizer.start_epoch(0) == pytest.approx(0.01)
    assert optimizer.start_epoch(1) == pytest.approx(0.01 / 3)


def test_sgd_keeps_its_momentum_and_adds_the_decay(variables):
    rule = OptimizerRule("*", 2.0, 0.5, optimizer="sgd", momentum=0.75)
    optimizer = RuleOptimizer(OptimizerConfig(0.01, 0.0, [rule]), variables)
    optimizer.start_epoch(0)
    expected = [v.numpy().astype(np.float64) for v in variables]
    velocities = [0.0] * len(variables)
    for size in (1.0, -3.0):
        take_steps(optimizer, [size])
        for i, value in enumerate(expected):
            velocities[i] = 0.75 * velocities[i] - 0.02 * (size + 0.5 * value)
            expected[i] = value + velocities[i]
    for variable, value in zip(variables, expected, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, rtol=1e-4)


def test_the_decay_of_adamw_is_decoupled(variables):
    rule = OptimizerRule("*", 1.0, 0.5, optimizer="adamw")
    optimizer = RuleOptimizer(OptimizerConfig(0.01, 0.0, [rule]), variables)
    before = [v.numpy() for v in variables]
    take_steps(optimizer, [0.2])
    for variable, value in zip(variables, before, strict=True):
        decayed = value - 0.01 * 0.5 * value
        np.testing.assert_allclose(
            variable.numpy(), adam_step(decayed, 0.2, 0.01), rtol=1e-4
        )
