"""Presets: models as directories that are shared, in KerasHub's manner.

DIR/
  config.json        class and arguments of the model
  model.weights.h5   its weights
  preprocessor.json  size of photos and scales that it was trained for
  README.md          its card
  manifest.json      checksums
"""

import dataclasses
import json
import os
import pathlib
import re
from typing import Any, NamedTuple

import keras

from agem_tf.config import (
    NETWORK_NAMES,
    ExtractionConfig,
    ImageConfig,
    named_network,
    network_title,
    read_settings,
)
from agem_tf.errors import UserError, cause
from agem_tf.files.atomic_writing import atomic_directory
from agem_tf.files.manifest import read_manifest, write_manifest
from agem_tf.models.card import CARD, write_card
from agem_tf.weights.keras_files import (
    create_plain_model,
    load_keras_weights,
)

_KIND = "preset"
_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_PREPROCESSOR = "preprocessor.json"
_CLASSES = ("agem_tf>AGeM", "agem_tf>DELF")
_MAX_CONFIG_BYTES = 1 << 20
HUB = "hf://"
_BODY = """\
A `{kind}` of agem_tf:
{network}.
It takes RGB photos (batch, height, width, 3) in [0, 255].

```python
import agem_tf

model = agem_tf.load("DIRECTORY")  # or "hf://USER/REPOSITORY"
descriptors = model(images)
```

`preprocessor.json` has the size of the photos and the scales that the model was
trained for.
"""


def write_preset(
    model: keras.Model,
    directory: str | os.PathLike,
    image: ImageConfig | None = None,
    extraction: ExtractionConfig | None = None,
) -> pathlib.Path:
    """Writes a model as a preset.

    Args:
        model: An `AGeM` or `DELF`.
        directory: Replaced as a whole if it holds an earlier preset.
        image: How photos are resized; by default as in the default recipe.
        extraction: Scales of the photos and how they are resized to them; by
            default as in the default recipe.

    Returns:
        The directory.

    Raises:
        UserError: The directory holds other files.
    """
    extraction = extraction or ExtractionConfig()
    settings = {
        "image": dataclasses.asdict(image or ImageConfig()),
        "scales": list(extraction.scales),
        "resize_by": extraction.resize_by,
    }
    with atomic_directory(directory, _KIND) as temporary:
        _write_json(
            temporary / _CONFIG, keras.saving.serialize_keras_object(model)
        )
        _write_json(temporary / _PREPROCESSOR, settings)
        model.save_weights(temporary / _WEIGHTS)
        network = network_title(model)
        body = _BODY.format(kind=type(model).__name__, network=network)
        write_card(temporary, "keras", network, body)
        write_manifest(temporary, _KIND)
    return pathlib.Path(directory)


class Preset(NamedTuple):
    """Contents of a preset.

    Attributes:
        model: An `AGeM` or `DELF`.
        image: How photos are resized.
        extraction: Scales of the photos and how they are resized to them.
    """

    model: keras.Model
    image: ImageConfig
    extraction: ExtractionConfig


def open_preset(source: str | os.PathLike) -> keras.Model:
    """Opens the model of a preset; see `read_preset`.

    Returns:
        An `AGeM` or `DELF`.
    """
    return read_preset(source).model


def read_preset(source: str | os.PathLike) -> Preset:
    """Reads a preset.

    Args:
        source: Directory of a preset; "hf://USER/REPOSITORY", or with
            "@REVISION", for one on Hugging Face; or one of
            `config.NETWORK_NAMES` for a network with ImageNet weights and new
            attention, for photos of 320 pixels.

    Raises:
        UserError: There is no such preset, or it is damaged or of another
            class.
    """
    text = os.fspath(source)
    if text.startswith(HUB):
        return _read_directory(_downloaded(text))
    if text in NETWORK_NAMES and not pathlib.Path(text).exists():
        create = keras.saving.get_registered_object(_CLASSES[0])
        model = create(**dataclasses.asdict(named_network(text)))
        image = ImageConfig(size=320, resize="aspect")
        return Preset(model, image, ExtractionConfig())
    if not pathlib.Path(text).is_dir():
        raise UserError(
            f"There is no preset {text!r}; give a directory, "
            f"{HUB}USER/REPOSITORY, or one of {', '.join(NETWORK_NAMES)}."
        )
    return _read_directory(pathlib.Path(text))


def is_preset(directory: str | os.PathLike) -> bool:
    """Whether a directory is a preset, not a run or anything else."""
    return pathlib.Path(directory, _PREPROCESSOR).is_file()


def _read_directory(directory: pathlib.Path) -> Preset:
    read_manifest(directory, _KIND, unchecked=(CARD,))
    path = directory / _CONFIG
    try:
        config = _read_json(path)
        found = config.get("registered_name")
        model = create_plain_model(
            config,
            found if found in _CLASSES else _CLASSES[0],
            os.path.getsize(directory / _WEIGHTS),
        )
        path = directory / _PREPROCESSOR
        settings = _read_json(path)
        image = read_settings(ImageConfig, settings["image"])
        others = {
            "scales": tuple(settings["scales"]),
            # Not in presets of earlier versions.
            "resize_by": settings.get("resize_by", "sizes"),
        }
        extraction = read_settings(ExtractionConfig, others)
    except Exception as error:  # Keras raises errors of many kinds.
        # Keras' own repeats the whole file before what it was raised for.
        reason = cause(error.__context__ or error)
        raise UserError(
            f"{path} can't be read ({reason}); write the preset again with "
            "python -m agem_tf.export --preset."
        ) from error
    load_keras_weights(model, directory / _WEIGHTS)
    return Preset(model, image, extraction)


def _downloaded(address: str) -> pathlib.Path:
    """Downloads a preset from Hugging Face, or finds it in its cache."""
    parts = re.fullmatch(
        r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", address, re.ASCII
    )
    if not parts:
        raise UserError(
            f"{address!r} is no preset on Hugging Face; give "
            f"{HUB}USER/REPOSITORY or {HUB}USER/REPOSITORY@REVISION."
        )
    try:
        import huggingface_hub
    except ImportError as error:
        raise UserError(
            f"{address} needs huggingface_hub; pip install '.[hub]'."
        ) from error
    repository, revision = parts.groups()
    files = [_CONFIG, _PREPROCESSOR, _WEIGHTS, "manifest.json", CARD]
    try:
        return pathlib.Path(
            huggingface_hub.snapshot_download(
                repository, revision=revision, allow_patterns=files
            )
        )
    except Exception as error:  # Its errors of the network are of many kinds.
        raise UserError(
            f"{address} can't be downloaded ({error}); check the name and the "
            "connection, or give a directory."
        ) from error


def _read_json(path: pathlib.Path) -> dict[str, Any]:
    if path.stat().st_size > _MAX_CONFIG_BYTES:
        raise ValueError(f"more than {_MAX_CONFIG_BYTES} bytes")
    return json.loads(path.read_bytes())


def _write_json(path: pathlib.Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
