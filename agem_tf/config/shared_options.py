"""Options that several commands share."""

import copy

from agem_tf import cli
from agem_tf.config.loading import load_recipe, override_recipe
from agem_tf.config.recipe import STRATEGIES, Config
from agem_tf.config.validation import validate


@cli.options
class RecipeOptions:
    """A recipe and its overrides; the default is the quickstart."""

    config: str | Config | None = cli.option(
        None, "Recipe file with get_config(); default: the quickstart."
    )
    set: tuple[str, ...] = cli.option(
        (),
        "Override of a field of the recipe, as in model.pooling=mac, or of its "
        "network by name, as in model=gem_resnet101.",
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


@cli.options
class DeviceOptions:
    """The devices that a command runs on."""

    strategy: str = cli.option("auto", "Devices to run on.", choices=STRATEGIES)
    tpu: str = cli.option(
        "", "TPU to use: local (the default), NAME or grpc://HOST:PORT."
    )


@cli.options
class ScaleOptions:
    """The sizes at which the network sees a photo."""

    scales: tuple[float, ...] | None = cli.option(
        None,
        "Scales of the photo, as in 1,0.7071,0.5; default: those of the "
        "model's recipe, or DELF's seven for local features.",
        above=0,
    )
    image_size: int | None = cli.option(
        None,
        "Longer side of the photo in pixels; default: that of the model's "
        "recipe.",
        minimum=32,
    )
