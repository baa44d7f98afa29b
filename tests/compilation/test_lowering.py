"""The programs that are lowered for a TPU's compiler."""

import importlib.metadata
import pathlib

import pytest

from agem_tf.compilation.lowering import RecipePrograms, without_copies
from agem_tf.config import (
    Config,
    ImageConfig,
    OptimizerConfig,
    OptimizerRule,
    loading,
    validate,
)
from agem_tf.errors import UserError

SMALL = pathlib.Path(__file__).parents[2] / "experiments/tpu_check_small.py"
INSTALLED = {each.name for each in importlib.metadata.distributions()}
FOR_TPUS = "tensorflow-tpu" in {name.replace("_", "-") for name in INSTALLED}
lowers = pytest.mark.skipif(FOR_TPUS, reason="needs a TensorFlow for CPUs")


@pytest.fixture
def recipe():
    recipe = Config()
    recipe.image = ImageConfig(64)
    recipe.model.backbone = "vgg16"
    # Never read: programs do not depend on them.
    recipe.model.weights = "missing.pth"
    recipe.model.feature_map = "C2"
    recipe.model.attention = "none"
    recipe.mining.num_negatives = 3
    recipe.optimizer = OptimizerConfig(
        rules=[OptimizerRule("*", weight_decay=1e-6)]
    )
    recipe.training.batch_tuples = 4
    recipe.extraction.batch_size = 6
    return recipe


@lowers
def test_training_and_extraction_are_lowered_whole(recipe):
    training, extraction = RecipePrograms(recipe).for_replicas(2)
    assert (training.name, training.batch) == ("training 64x64", 2)
    assert (training.unit, training.photos_per_unit) == ("tuples", 5)
    assert (extraction.name, extraction.batch) == ("extraction 64x64", 3)
    step = training.lower(2)
    assert "tensor<2x5x64x64x3xui8>" in step
    # The gradient of a convolution, and Adam.
    assert step.count("stablehlo.convolution") > 2 * 3
    assert "stablehlo.sqrt" in step
    assert "mhlo.copy" not in step
    assert "tensor<3x64x64x3xui8>" in extraction.lower(3)


@lowers
def test_each_canvas_is_extracted_and_the_largest_trains(recipe):
    recipe.image.resize = "aspect"
    recipe.image.buckets = ((32, 64), (64, 96))
    names = [program.name for program in RecipePrograms(recipe).for_replicas(2)]
    assert names == ["training 64x96", "extraction 32x64", "extraction 64x96"]


@lowers
def test_each_scale_of_training_is_a_program(recipe):
    recipe.training.rescale = (0.5, 1.0)
    programs = RecipePrograms(recipe).for_replicas(1)
    assert [program.name for program in programs] == [
        "training 64x64 at 0.5",
        "training 64x64",
        "extraction 64x64",
    ]
    assert "tensor<5x32x32x3xf32>" in programs[0].lower(1)


@lowers
def test_the_small_recipe_divides_among_four_chips():
    recipe = validate(loading.load_recipe(SMALL))
    programs = RecipePrograms(recipe).for_replicas(4)
    assert [program.batch for program in programs] == [2, 8, 8]


@lowers
def test_a_recipe_that_does_not_train_is_extracted_only(recipe):
    recipe.training.epochs = 0
    (extraction,) = RecipePrograms(recipe).for_replicas(1)
    assert (extraction.unit, extraction.batch) == ("photos", 6)


@lowers
def test_precision_is_the_recipes(recipe):
    recipe.training.epochs = 0
    recipe.training.precision = "mixed_bfloat16"
    (extraction,) = RecipePrograms(recipe).for_replicas(1)
    assert "xbf16>" in extraction.lower(6)


@lowers
def test_shapes_that_are_not_static_are_refused(recipe):
    recipe.image.resize = "aspect"
    with pytest.raises(UserError, match="image.buckets"):
        RecipePrograms(recipe)


@lowers
def test_a_batch_that_does_not_divide_is_refused(recipe):
    with pytest.raises(UserError, match="training.batch_tuples=4 does not"):
        RecipePrograms(recipe).for_replicas(3)


@lowers
def test_classes_need_a_dataset(recipe):
    recipe.loss.name, recipe.loss.options = "arcface", {}
    with pytest.raises(UserError, match="data.directory=DATA"):
        RecipePrograms(recipe)


def test_copies_are_replaced_by_their_operands():
    module = """\
    %3 = stablehlo.add %1, %2#1 : tensor<7xf32>
    %4 = mhlo.copy %3 : tensor<7xf32> loc(#loc1)
    %5 = mhlo.copy %4 : tensor<7xf32>
    %6 = mhlo.copy %2#1 : tensor<7xf32>
    return %5, %6, %44 : tensor<7xf32>"""
    assert without_copies(module).splitlines() == [
        "    %3 = stablehlo.add %1, %2#1 : tensor<7xf32>",
        "    return %3, %2#1, %44 : tensor<7xf32>",
    ]


def test_names_of_copies_end_with_their_region():
    """After the body of a loop, its names are given to other values."""
    module = """\
      %8 = mhlo.copy %6 : tensor<7xf32>
      stablehlo.return %8 : tensor<7xf32>
    }
    %8 = stablehlo.add %1, %2#1 : tensor<7xf32>
    return %8 : tensor<7xf32>"""
    assert without_copies(module).splitlines() == [
        "      stablehlo.return %6 : tensor<7xf32>",
        "    }",
        "    %8 = stablehlo.add %1, %2#1 : tensor<7xf32>",
        "    return %8 : tensor<7xf32>",
    ]


@pytest.mark.skipif(not FOR_TPUS, reason="needs TensorFlow for TPUs")
def test_tensorflow_for_tpus_lowers_nothing_without_one(recipe):
    with pytest.raises(UserError, match="requirements.txt"):
        RecipePrograms(recipe)
