"""Keras weight files that do not fit are refused."""

import keras
import numpy as np
import pytest
from keras import layers

from agem_tf.errors import UserError
from agem_tf.weights import keras_files


def _model(units=3):
    return keras.Sequential(
        [keras.Input((2,)), layers.Dense(units, name="dense")], name="net"
    )


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras", ".h5"])
def test_reads_what_keras_writes(tmp_path, suffix):
    source, target, path = _model(), _model(), tmp_path / f"saved{suffix}"
    save = source.save_weights if suffix == ".weights.h5" else source.save
    save(path)
    keras_files.load_keras_weights(target, path)
    np.testing.assert_array_equal(
        target.get_weights()[0], source.get_weights()[0]
    )


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="No weights file .*absent.h5"):
        keras_files.load_keras_weights(_model(), tmp_path / "absent.h5")


def test_other_kinds_of_file_are_refused(tmp_path):
    path = tmp_path / "weights.npz"
    path.touch()
    with pytest.raises(UserError, match=r"weights.npz; net takes .*\.keras"):
        keras_files.load_keras_weights(_model(), path)


def test_damaged_file_is_named(tmp_path):
    path = tmp_path / "saved.weights.h5"
    _model().save_weights(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match="saved.weights.h5 do not fit net or"):
        keras_files.load_keras_weights(_model(), path)


def test_weights_of_another_shape_are_refused(tmp_path):
    path = tmp_path / "saved.weights.h5"
    _model(units=4).save_weights(path)
    with pytest.raises(UserError, match="saved.weights.h5 do not fit net"):
        keras_files.load_keras_weights(_model(), path)


def test_failed_download_names_the_way_out():
    def offline(weights):
        raise Exception("URL fetch failure on https://example.invalid\nmore")

    with pytest.raises(UserError, match="URL fetch failure.*notop") as caught:
        keras_files.imagenet_application(offline)
    assert "\n" not in str(caught.value)
