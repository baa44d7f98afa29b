"""Only artifacts of equal provenance are combined."""

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.files.provenance import check_same_provenance

_PROVENANCE = {
    "model": "a1b2",
    "image": {"size": 1024, "resize": "aspect"},
    "scales": (1.0, 0.5),
    "split": "test",
}


def test_settings_that_only_inform_may_differ():
    other = _PROVENANCE | {"split": "train", "crop": True}
    check_same_provenance(_PROVENANCE, other)


def test_saved_and_fresh_values_are_equal():
    image = {"size": np.int64(1024), "resize": "aspect"}
    saved = _PROVENANCE | {"scales": [1.0, 0.5], "image": image}
    check_same_provenance(_PROVENANCE, saved)


def test_all_differences_are_named_in_one_sentence():
    other = _PROVENANCE | {"model": "c3d4", "scales": (1.0,)}
    with pytest.raises(UserError) as error:
        check_same_provenance(_PROVENANCE, other, "queries", "database")
    message = str(error.value)
    assert message.startswith("queries and database differ in ")
    assert "model ('a1b2' and 'c3d4')" in message
    assert "scales ([1.0, 0.5] and [1.0])" in message
    assert "image" not in message
    assert "\n" not in message


def test_whitened_and_plain_descriptors_are_not_mixed():
    with pytest.raises(UserError, match="whitening"):
        check_same_provenance(_PROVENANCE, _PROVENANCE | {"whitening": "pca"})
