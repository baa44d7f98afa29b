"""A training run for the stages after it: recipe, dataset, best model."""

import copy
import dataclasses
import pathlib
from collections.abc import Sequence

import keras
import tensorflow as tf

from agem_tf.config import (
    Config,
    ExtractionConfig,
    ModelConfig,
    UseConfig,
    validate,
)
from agem_tf.datasets.preparation import prepare
from agem_tf.datasets.prepared import PreparedDataset
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.errors import UserError
from agem_tf.extraction.extractor import Extractor
from agem_tf.extraction.identity import fingerprint
from agem_tf.extraction.local_extractor import (
    BEST_THOUSAND,
    DELF_SCALES,
    DelfExtractor,
    Selection,
)
from agem_tf.files.atomic_writing import atomic_file
from agem_tf.files.locations import as_location, local_copy
from agem_tf.models import DELF, AGeM
from agem_tf.photos.canvases import at_size, settings_of
from agem_tf.training.workdir import BEST_MODEL, read_recipe
from agem_tf.weights.keras_files import load_keras_model


@dataclasses.dataclass(frozen=True)
class Run:
    """Recipe and model of a training run, for the stages after it.

    Attributes:
        config: The recipe; its image and scales are those of its tests.
        model: The model with the best weights.
    """

    config: Config
    model: AGeM

    def with_settings(
        self,
        scales: Sequence[float] | None = None,
        image_size: int | None = None,
    ) -> "Run":
        """Returns the run with extraction settings other than its recipe's.

        Args:
            scales: Factors on the sides of photos.
            image_size: Side of photos in pixels.

        Raises:
            UserError: A setting is out of range.
        """
        config = copy.deepcopy(self.config)
        if scales:
            config.extraction.scales = tuple(scales)
        if image_size is not None:
            config.image = at_size(config.image, image_size)
        # Only what is set here: the rest was valid when the run was trained,
        # maybe by an earlier version, and can't be changed any more.
        scales = config.extraction.scales
        validate(
            Config(image=config.image, extraction=ExtractionConfig(scales))
        )
        return Run(config, self.model)

    def check_made(self, descriptors: DescriptorSet, path: str) -> None:
        """Checks that descriptors were made by this model.

        Raises:
            UserError: They were made by another model.
        """
        if descriptors.provenance.get("model") != fingerprint(self.model):
            raise UserError(
                f"The descriptors in {path} were made by another model than "
                "the best one of this run; extract them again."
            )

    def extractor(self, strategy: tf.distribute.Strategy) -> Extractor:
        """Returns an extractor with the run's settings."""
        return Extractor(
            self.model, self.config.image, self.config.extraction, strategy
        )

    def local_extractor(
        self,
        scales: Sequence[float] | None = None,
        selection: Selection = BEST_THOUSAND,
        whitening: LinearWhitening | None = None,
    ) -> DelfExtractor:
        """Returns an extractor of local features with the run's image size.

        Args:
            scales: Factors on the sides of photos; by default DELF's seven.
            selection: Which features are kept.
            whitening: PCA of the features.

        Raises:
            UserError: The whitening belongs to another model or settings.
        """
        return DelfExtractor(
            self.model,
            self.config.image,
            scales or DELF_SCALES,
            selection,
            whitening,
        )


def kind_of(config: ModelConfig) -> str:
    """Returns what a network is for: "local" features, else "global"."""
    return "local" if config.pooling == "attentive" else "global"


def model_class(config: ModelConfig) -> type[AGeM]:
    """Returns the class of a recipe's network."""
    return DELF if config.pooling == "attentive" else AGeM


def load_best_model(workdir: str | pathlib.Path) -> AGeM:
    """Loads the model with the best weights of a run.

    Raises:
        UserError: The workdir holds no run, or no model yet.
    """
    kind = model_class(read_recipe(workdir).model)
    path = as_location(workdir, "--workdir") / BEST_MODEL
    if not path.exists():
        raise UserError(
            f"{workdir} has no {BEST_MODEL} yet; finish its training, or copy "
            "it again."
        )
    with local_copy(path) as copy:
        return load_keras_model(copy, kind)


def open_run(
    workdir: str | pathlib.Path, strategy: tf.distribute.Strategy
) -> Run:
    """Loads the best model of a run.

    Raises:
        UserError: The workdir holds no run, or no model yet.
    """
    config = read_recipe(workdir)
    with strategy.scope():
        model = load_best_model(workdir)
        if model.dtype_policy.name != config.training.precision:
            # Files of earlier releases do not have their precision.
            policy = {"dtype": config.training.precision}
            converted = type(model).from_config(model.get_config() | policy)
            converted.set_weights(model.get_weights())
            model = converted
    image, extraction = settings_of(config, "test")
    extraction = dataclasses.replace(extraction, test=UseConfig())
    config = dataclasses.replace(config, image=image, extraction=extraction)
    return Run(config, model)


def open_dataset(
    config: Config,
    workdir: str | pathlib.Path,
    directory: str | pathlib.Path | None = None,
    skip_corrupt: bool = False,
) -> PreparedDataset:
    """Opens the recipe's dataset.

    A recipe with nothing but a directory refers to a prepared dataset. With a
    source or options, or without a directory, the dataset is prepared on first
    use.

    Args:
        config: The recipe.
        workdir: Directory of the run.
        directory: Directory of another prepared dataset to open instead.
        skip_corrupt: See `PreparedDataset`.

    Raises:
        UserError: The dataset is not prepared and can't be.
    """
    if directory is not None:
        return PreparedDataset(directory, skip_corrupt)
    data = config.data
    directory = as_location(
        data.directory or as_location(workdir, "--workdir") / "data",
        "data.directory",
    )
    if data.directory and not (data.source or data.options):
        if not directory.exists():
            raise UserError(
                f"There is no prepared dataset in {directory}; make it with "
                "python -m agem_tf.prepare --source=PHOTOS "
                f"--data_dir={directory}."
            )
        return PreparedDataset(directory, skip_corrupt)
    source = {"source": data.source} if data.source else {}
    return prepare(
        data.dataset,
        directory,
        source | data.options,
        skip_corrupt=skip_corrupt,
    )


def save_model(model: keras.Model, path: pathlib.Path) -> None:
    """Writes a .keras file under a temporary name and renames it."""
    with atomic_file(path) as temporary:
        model.save(temporary)
