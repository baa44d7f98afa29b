"""Options that several commands share."""

import copy

from agem_tf import cli
from agem_tf.config.loading import load_recipe, override_recipe
from agem_tf.config.photo_fields import MAXIMUM_SIZE, MINIMUM_SIZE
from agem_tf.config.recipe import STRATEGIES, Config
from agem_tf.config.validation import validate
from agem_tf.errors import UserError
from agem_tf.files.portions import Portion


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
        minimum=MINIMUM_SIZE,
        maximum=MAXIMUM_SIZE,
    )


@cli.options
class ShardOptions:
    """Parts of the photos, on many machines."""

    shard: str | None = cli.option(
        None,
        "Only do a part of the photos, for example 3/16, on one of many "
        "machines; the same command without it joins the parts.",
    )
    beam: str | None = cli.option(
        None, "Flags of Apache Beam, whose workers do the shards."
    )
    ray: str | None = cli.option(
        None,
        "Ray cluster whose workers do the shards: HOST:PORT, auto or local.",
    )
    num_shards: int | None = cli.option(
        None, "Number of shards for --beam or --ray.", minimum=1
    )

    def __post_init__(self) -> None:
        ways = (self.shard, self.beam, self.ray)
        if sum(way is not None for way in ways) > 1:
            raise UserError("Give one of --shard, --beam and --ray.")
        if self.shard is not None:
            Portion.parse(self.shard)
        if self.uses_engine != (self.num_shards is not None):
            raise UserError(
                "--num_shards belongs to --beam or --ray; give both, and about "
                "10,000 photos per shard."
            )

    @property
    def uses_engine(self) -> bool:
        """Whether Beam or Ray does the shards."""
        return self.beam is not None or self.ray is not None
