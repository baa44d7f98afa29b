"""Rules give each variable its learning rate and decay."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from agem_tf.config import OptimizerConfig, OptimizerRule
from agem_tf.errors import UserError
from agem_tf.training.optimizers import RuleOptimizer


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
        "Optimizer rule gem/: 0 variable(s), learning rate x 10",
        "Optimizer rule pooling/*: 1 variable(s), frozen",
        "Optimizer rule *: 2 variable(s), learning rate x 0.5",
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
