"""The options --config and --set of commands that take a recipe."""

import copy

from agem_tf import cli
from agem_tf.config.loading import load_recipe, override_recipe
from agem_tf.config.recipe import Config
from agem_tf.config.validation import validate


@cli.options
class RecipeOptions:
    """A recipe and its overrides; the default is the quickstart."""

    config: str | Config | None = cli.option(
        None, "Recipe file with get_config(); default: the quickstart."
    )
    set: tuple[str, ...] = cli.option(
        (), "Override of a field of the recipe: model.pooling=mac."
    )

    def recipe(self) -> Config:
        """Returns the recipe with its overrides, checked.

        Raises:
            UserError: the file, an override or a value is at fault.
        """
        if isinstance(self.config, str):
            recipe = load_recipe(self.config)
        else:
            recipe = copy.deepcopy(self.config) or Config()
        return validate(override_recipe(recipe, self.set))
