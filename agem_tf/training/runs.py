"""A workdir from the outside: its recipe, its dataset and its best model."""

import copy
import dataclasses
import pathlib
from collections.abc import Sequence

import keras
import tensorflow as tf

from agem_tf import artifacts
from agem_tf.config import Config, validate
from agem_tf.data.preparation import prepare
from agem_tf.data.prepared import PreparedDataset
from agem_tf.errors import UserError
from agem_tf.extraction import Extractor
from agem_tf.models import AGeM
from agem_tf.training.checkpoints import read_recipe

BEST_MODEL = "best.keras"


@dataclasses.dataclass(frozen=True)
class Run:
    """What later stages need of a training run.

    Attributes:
        config: its recipe.
        model: its best weights.
    """

    config: Config
    model: AGeM

    def with_settings(
        self,
        scales: Sequence[float] | None = None,
        image_size: int | None = None,
    ) -> "Run":
        """Returns the run with other extraction settings than its recipe's.

        Raises:
            UserError: a setting is out of range.
        """
        config = copy.deepcopy(self.config)
        if scales:
            config.extraction.scales = tuple(scales)
        if image_size:
            config.image.size = image_size
        return Run(validate(config), self.model)

    def extractor(self, strategy: tf.distribute.Strategy) -> Extractor:
        """Returns an extractor with the run's settings."""
        return Extractor(
            self.model, self.config.image, self.config.extraction, strategy
        )


def open_run(
    workdir: str | pathlib.Path, strategy: tf.distribute.Strategy
) -> Run:
    """Loads the best model of a run.

    Raises:
        UserError: the workdir holds no run, or no model yet.
    """
    workdir = pathlib.Path(workdir)
    config = read_recipe(workdir)
    with strategy.scope():
        return Run(config, load_model(workdir / BEST_MODEL))


def open_dataset(
    config: Config,
    workdir: str | pathlib.Path,
    directory: str | pathlib.Path | None = None,
) -> PreparedDataset:
    """Opens the recipe's dataset; one without a source is made on the spot.

    Args:
        config: the recipe.
        workdir: of the run.
        directory: of another prepared dataset to open instead.

    Raises:
        UserError: it is not prepared and can't be made.
    """
    if directory is not None:
        return PreparedDataset(directory)
    data = config.data
    directory = pathlib.Path(data.directory or pathlib.Path(workdir) / "data")
    if data.directory and (directory / artifacts.MANIFEST).exists():
        return PreparedDataset(directory)
    if data.dataset == "photo_folder" and not data.source:
        raise UserError(
            f"No prepared dataset in {directory}; run python -m "
            "agem_tf.prepare --source=PHOTOS --data_dir=DIRECTORY and set "
            "data.directory."
        )
    source = {"source": data.source} if data.source else {}
    return prepare(data.dataset, directory, source | data.options)


def load_model(path: pathlib.Path) -> AGeM:
    """Reads a .keras file of this package.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{path} is not a readable model ({error}); run agem_tf.train."
        ) from error


def save_model(model: keras.Model, path: pathlib.Path) -> None:
    """Writes a .keras file under a temporary name and renames it."""
    with artifacts.atomic_file(path) as temporary:
        model.save(temporary)
