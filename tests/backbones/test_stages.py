"""The variables up to a feature map are those of the stages before it."""

import fnmatch

import pytest

from agem_tf.config import default_rules, earlier_default_rules
from agem_tf.models import AGeM
from agem_tf.training.optimizers import assign_rules


def frozen(rules, model):
    groups = assign_rules(
        rules, model.trainable_variables, model.stage_variables()
    )
    return {
        variable.path
        for rule, members in groups
        for variable in members
        if not rule.learning_rate_scale
    }


@pytest.mark.parametrize(
    "options",
    [
        {"attention": "none"},
        {"attention_placement": ("C3", "C5")},
        {"attention_placement": ("blocks",)},
    ],
)
def test_the_default_freezes_what_it_always_froze_on_lite0(options):
    model = AGeM("efficientnet_lite0", **options)
    now = frozen(default_rules(), model)
    assert len(now) == 45
    assert now == frozen(earlier_default_rules(), model)


@pytest.mark.parametrize(
    ("backbone", "options", "patterns"),
    [
        ("resnet18_torch", {}, ("conv1_*", "conv[23]_*")),
        ("resnet50_half", {"attention": "agem"}, ("conv1_*", "conv[23]_*")),
        ("vgg16", {"feature_map": "C4"}, ("block[1234]_*",)),
        (
            "mobilenetv2",
            {"attention_placement": ("C3",)},
            ("Conv1/*", "bn_Conv1/*", "expanded_conv_*", "block_[12345]_*"),
        ),
        ("efficientnetb0", {}, ("stem_*", "block[123][a-z]_*")),
        ("densenet121", {}, ("conv1*", "conv[23]_block*", "pool[23]_*")),
    ],
)
def test_the_default_freezes_the_stages_up_to_stride_8(
    backbone, options, patterns
):
    model = AGeM(backbone, **{"attention": "none"} | options)
    expected = {
        variable.path
        for variable in model.trainable_variables
        if any(fnmatch.fnmatchcase(variable.path, each) for each in patterns)
    }
    assert frozen(default_rules(), model) == expected
    assert 0 < len(expected) < len(model.trainable_variables)


def test_stages_are_nested_and_end_at_the_pooled_map():
    model = AGeM("efficientnet_lite0", feature_map="C4", attention="none")
    stages = model.stage_variables()
    assert list(stages) == ["C2", "C3", "C4"]
    assert stages["C2"] < stages["C3"] < stages["C4"]
    # The expansion of the first block at stride 32 is not of stride 16.
    assert "block5c_project_bn/gamma" in stages["C4"]
    assert "block6a_expand_conv/kernel" not in stages["C4"]
