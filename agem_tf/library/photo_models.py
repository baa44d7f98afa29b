"""Models that extract the descriptors of an index.

Without any training, ImageNet features pooled by GeM find the same object and
the same scene. A model that `agem_tf.train` trains on the user's own photos
finds more.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agem_tf.config import (
    Config,
    ImageConfig,
    ModelConfig,
    read_settings,
    validate,
)
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.distribution.strategies import create_strategy
from agem_tf.errors import UserError
from agem_tf.files.manifest import MANIFEST
from agem_tf.files.provenance import check_same_provenance
from agem_tf.models import DELF, AGeM, presets
from agem_tf.photos.canvases import at_size
from agem_tf.retrieval.indexes import StoredIndex
from agem_tf.saved_models.retrieval_model import (
    ExportableModel,
    checked_provenance,
    load_exported,
)

if TYPE_CHECKING:
    from agem_tf.extraction.photo_files import FileExtractor
    from agem_tf.training.runs import Run


def model_for_photos(
    workdir: str | None = None,
    scales: Sequence[float] | None = None,
    image_size: int | None = None,
    preset: str | None = None,
) -> ExportableModel:
    """Returns the best model of a run, that of a preset, or the pretrained one.

    The pretrained model is EfficientNet-lite2 with GeM and ImageNet weights.

    Args:
        workdir: directory of the run, if there is one.
        scales: scales of the photos; by default those of the recipe.
        image_size: pixels of the longer side; by default that of the recipe.
        preset: a preset in place of a run; see `presets.read_preset`.

    Raises:
        UserError: there is no such model, it is one of local features, a
            setting is out of range, or the package with the pretrained weights
            is not installed.
    """
    if workdir is not None:
        run = _open_run(workdir).with_settings(scales, image_size)
        config, model = run.config, run.model
    elif preset is not None:
        model, image, extraction = presets.read_preset(preset)
        if isinstance(model, DELF):
            raise UserError(
                f"The preset {preset} is a network of local features; give one "
                "of descriptors of whole photos."
            )
        if image_size is not None:
            image = at_size(image, image_size)
        if scales:
            extraction.scales = tuple(scales)
        config = validate(Config(image=image, extraction=extraction))
    else:
        config = Config(
            name="pretrained",
            image=ImageConfig(size=image_size or 320, resize="aspect"),
            model=ModelConfig(
                backbone="efficientnet_lite2",
                attention="none",
                batch_norm="frozen",
            ),
        )
        if scales:
            config.extraction.scales = tuple(scales)
        validate(config)
        model = AGeM(**dataclasses.asdict(config.model))
    return ExportableModel(model, config.image, config.extraction)


def model_of_descriptors(
    workdir: str, descriptors: DescriptorSet, path: str
) -> ExportableModel:
    """Returns the model of a run, with the settings of some descriptors.

    Args:
        workdir: directory of the run that made the descriptors.
        descriptors: the descriptors.
        path: path of the descriptors, for the message.

    Raises:
        UserError: another model made the descriptors.
    """
    run = _open_run(workdir)
    run.check_made(descriptors, path)
    made = descriptors.provenance
    image = read_settings(ImageConfig, made["image"])
    config = dataclasses.replace(run.config, image=image)
    config = (
        dataclasses.replace(run, config=config)
        .with_settings(made["scales"])
        .config
    )
    model = ExportableModel(run.model, config.image, config.extraction)
    check_same_provenance(model.provenance, made, workdir, path)
    return model


def extractor_of(stored: StoredIndex) -> FileExtractor:
    """Returns an extractor that runs the SavedModel of an index.

    Raises:
        UserError: the index has no model, it is damaged, or it is not the one
            that made the descriptors, as --model can have it for Milvus.
    """
    extractor = load_exported(stored.model)
    check_same_provenance(
        extractor.provenance,
        stored.origin.provenance,
        f"The model {stored.model}",
        stored.place,
    )
    return extractor


def save_model_once(model: ExportableModel, directory: pathlib.Path) -> None:
    """Writes a SavedModel, unless the same one is there already.

    Raises:
        UserError: the directory holds another model, a damaged or forged one,
            or other files.
    """
    if (directory / MANIFEST).exists():
        check_same_provenance(
            checked_provenance(directory),
            model.provenance,
            f"The model that is already in {directory}",
            "the one asked for",
        )
    else:
        model.save(directory)


def _open_run(workdir: str) -> Run:
    # Imports TFDS, which the pretrained model does not need.
    from agem_tf.training import runs

    return runs.open_run(workdir, create_strategy("one"))
