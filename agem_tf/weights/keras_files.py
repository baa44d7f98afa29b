"""Keras' weight files, and the ImageNet weights that Keras downloads."""

import math
import os
import pathlib
import textwrap
import warnings
from collections.abc import Callable
from typing import Any

import keras
from keras.src.backend.common import global_state

from agem_tf.errors import UserError
from agem_tf.weights.keras_checks import (
    check_hdf5,
    check_keras_archive,
    check_plain_model,
)

SUFFIXES = (".weights.h5", ".h5", ".keras")

_MAX_REASON = 200
# Of a number of a network, in half precision.
_LEAST_ITEM_BYTES = 2


def load_keras_weights(model: keras.Model, path: str | os.PathLike) -> None:
    """Loads the file that `save_weights` or `save` of the same network wrote.

    Keras' own downloads (`..._notop.h5`) are read as well.

    Raises:
        UserError: the file is missing, of another kind, damaged or of another
            network.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(
            f"No weights file {path}; give an existing file or run, "
            '"imagenet" or None.'
        )
    if not path.name.endswith(SUFFIXES):
        raise UserError(
            f"Cannot read weights from {path}; {model.name} takes a file "
            f"named {', '.join('*' + suffix for suffix in SUFFIXES)}, and "
            "only *_torch and efficientnet_lite* backbones take PyTorch's."
        )
    try:
        if path.suffix == ".keras":
            check_keras_archive(path)
        else:
            check_hdf5(path, path.stat().st_size)
        with warnings.catch_warnings():
            # Keras only warns where it leaves layers at random weights.
            warnings.filterwarnings("error", message=".*freshly-initialized")
            model.load_weights(path)
    except Exception as error:  # h5py and Keras raise errors of many kinds.
        raise UserError(
            f"The weights in {path} do not fit {model.name} or are damaged "
            f"({_first_line(error)})."
        ) from error


def load_keras_model(
    path: str | os.PathLike, kind: type[keras.Model]
) -> keras.Model:
    """Loads a .keras file of a registered class, and of nothing else.

    Raises:
        UserError: the file is missing, damaged, or holds objects of other
            classes, whose code would run.
    """
    try:
        model = create_plain_model(
            check_keras_archive(path),
            keras.saving.get_registered_name(kind),
            os.path.getsize(path),
        )
        model.load_weights(path)
        return model
    except Exception as error:  # h5py and Keras raise errors of many kinds.
        raise UserError(
            f"{path} can't be read as a model ({_first_line(error)}); run "
            "agem_tf.train or copy it again."
        ) from error


def create_plain_model(
    config: dict[str, Any], registered_name: str, num_bytes: int
) -> keras.Model:
    """Creates the network of an untrusted description.

    Args:
        config: What `serialize_keras_object` wrote. How the network was
            compiled is ignored, because it may consist of any objects.
        registered_name: Name that its class must have in Keras' registry.
        num_bytes: Size of the file of its weights.

    Raises:
        ValueError: See `check_plain_model`; or its weights do not fit in the
            file. Keras raises further types for wrong arguments.
    """
    check_plain_model(config, registered_name)
    kept = ("module", "class_name", "config", "registered_name")
    try:
        # Until the scope ends, variables have a shape and take no memory.
        with keras.StatelessScope(initialize_variables=False) as scope:
            model = keras.saving.deserialize_keras_object(
                {key: config[key] for key in kept if key in config}
            )
            if not isinstance(model, keras.Model):
                raise ValueError("it describes no network")
            numbers = sum(math.prod(each.shape) for each in model.variables)
            if numbers * _LEAST_ITEM_BYTES > num_bytes:
                raise ValueError(
                    f"its network has {numbers} numbers, more than {num_bytes} "
                    "bytes of weights can hold"
                )
            scope.initialize_variables = True
    except BaseException:
        # Else Keras gives them memory with those of the next network.
        global_state.set_global_attribute("uninitialized_variables", [])
        raise
    return model


def saved_class(path: str | os.PathLike) -> str | None:
    """Returns the registered class of a .keras file, "agem_tf>AGeM" for one.

    None if the path is no such file, or its class is one of Keras.
    """
    if pathlib.Path(path).suffix != ".keras":
        return None
    try:
        return check_keras_archive(path).get("registered_name")
    except Exception:  # h5py, zipfile and json raise errors of many kinds.
        return None  # Named when the file is opened.


def copy_imagenet_weights(
    model: keras.Model, function: Callable[..., keras.Model]
) -> None:
    """Copies the ImageNet weights of a keras.applications network.

    Args:
        model: Network with layers of the same names.
        function: Function of keras.applications.

    Raises:
        UserError: the weights cannot be downloaded.
    """
    source = imagenet_application(
        function, include_top=False, input_shape=(None, None, 3)
    )
    for layer in source.layers:
        if layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())


def imagenet_application(
    function: Callable[..., keras.Model], **options: Any
) -> keras.Model:
    """Calls a keras.applications function with its ImageNet weights.

    Args:
        function: Function of keras.applications.
        **options: Arguments of the function, without `weights`.

    Raises:
        UserError: the weights cannot be downloaded.
    """
    try:
        return function(weights="imagenet", **options)
    except Exception as error:  # Keras wraps network errors in Exception.
        raise UserError(
            f"Keras cannot download the ImageNet weights of "
            f"{function.__name__} ({_first_line(error)}); fetch its "
            '"notop" .h5 file elsewhere and give its path as weights.'
        ) from error


def _first_line(error: Exception) -> str:
    line = str(error).strip().split("\n")[0] or type(error).__name__
    return textwrap.shorten(line, _MAX_REASON, placeholder="...")
