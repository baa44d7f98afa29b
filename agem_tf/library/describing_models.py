"""Which model describes the photos of an index, and its export.

Without any training, ImageNet features pooled by GeM find the same object and
the same scene; a run of `agem_tf.train` knows the user's own photos better.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from agem_tf.config import Config, ImageConfig, ModelConfig
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.distribution.strategies import create_strategy
from agem_tf.files.manifest import MANIFEST, read_manifest
from agem_tf.files.provenance import check_same_provenance
from agem_tf.models import AGeM
from agem_tf.saved_models import retrieval_model
from agem_tf.training import runs


def pretrained() -> runs.Run:
    """Returns EfficientNet-lite2 with GeM and ImageNet weights, untrained.

    Raises:
        UserError: the weights' package is not installed.
    """
    config = Config(
        name="pretrained",
        image=ImageConfig(size=320, resize="aspect"),
        model=ModelConfig(
            backbone="efficientnet_lite2", attention="none", batch_norm="frozen"
        ),
    )
    return runs.Run(config, AGeM(**dataclasses.asdict(config.model)))


def choose(
    workdir: str | None,
    scales: Sequence[float] | None = None,
    image_size: int | None = None,
) -> runs.Run:
    """Returns the best model of a run, or the pretrained one.

    Args:
        workdir: of the run, if there is one.
        scales: as of `agem_tf.extract`.
        image_size: pixels of the longer side.

    Raises:
        UserError: the workdir holds no model, or a setting is out of range.
    """
    if workdir is None:
        run = pretrained()
    else:
        run = runs.open_run(workdir, create_strategy("one"))
    return run.with_settings(scales, image_size)


def with_settings_of(run: runs.Run, provenance: Mapping[str, Any]) -> runs.Run:
    """Returns the run with the settings that made some descriptors."""
    image = ImageConfig(**provenance["image"])
    config = dataclasses.replace(run.config, image=image)
    scales = provenance["scales"]
    return runs.Run(config, run.model).with_settings(scales)


def export(
    run: runs.Run,
    directory: pathlib.Path,
    whitening: LinearWhitening | None = None,
    dimension: int | None = None,
) -> pathlib.Path:
    """Exports a run's model, unless it is there already.

    Args:
        run: the model and its settings.
        directory: of the SavedModel.
        whitening: to build in.
        dimension: that the whitening keeps.

    Returns:
        The directory.

    Raises:
        UserError: the directory holds another model or other files, or the
            whitening does not belong to this one.
    """
    if (directory / MANIFEST).exists():
        check_same_provenance(
            read_manifest(directory, retrieval_model.KIND)["provenance"],
            provenance(run, whitening, dimension),
            f"The model that is already in {directory}",
            "the one asked for",
        )
        return directory
    image, extraction = run.config.image, run.config.extraction
    return retrieval_model.export_model(
        run.model, directory, image, extraction, whitening, dimension
    )


def provenance(
    run: runs.Run,
    whitening: LinearWhitening | None = None,
    dimension: int | None = None,
) -> dict[str, Any]:
    """Returns that of the descriptors which `export`'s model will make.

    Raises:
        UserError: the whitening does not belong to the model, or has fewer
            dimensions.
    """
    image, extraction = run.config.image, run.config.extraction
    return retrieval_model.exported_provenance(
        run.model, image, extraction, whitening, dimension
    )
