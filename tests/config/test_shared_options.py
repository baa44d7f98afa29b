"""--config and --set give a checked recipe."""

import pytest

from agem_tf import config
from agem_tf.config.shared_options import RecipeOptions
from agem_tf.errors import UserError


def test_the_default_is_the_quickstart():
    assert RecipeOptions().recipe() == config.Config()


def test_a_file_is_loaded_and_overridden(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from agem_tf import config\n"
        "def get_config():\n"
        "    return config.Config(name='mine')\n"
    )
    options = RecipeOptions(config=str(path), set=("image.size=96",))
    recipe = options.recipe()
    assert (recipe.name, recipe.image.size) == ("mine", 96)


def test_a_recipe_that_is_given_stays_as_it_is():
    given = config.Config(name="given")
    recipe = RecipeOptions(config=given, set=("image.size=96",)).recipe()
    assert (recipe.name, recipe.image.size) == ("given", 96)
    assert given.image.size == 160


def test_faults_are_reported():
    with pytest.raises(UserError, match="image.size must be at least 32"):
        RecipeOptions(set=("image.size=8",)).recipe()


def test_a_recipe_imports_its_parent_and_no_other_folder_s(tmp_path):
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "parent.py").write_text(
            "from agem_tf import config\n"
            "def get_config():\n"
            f"    return config.Config(name={folder!r})\n"
        )
        (tmp_path / folder / "child.py").write_text(
            "import parent\ndef get_config():\n    return parent.get_config()\n"
        )
        options = RecipeOptions(config=str(tmp_path / folder / "child.py"))
        assert options.recipe().name == folder
