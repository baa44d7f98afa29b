"""A fingerprint tells networks apart, whatever their weights."""

import numpy as np
import pytest
import tensorflow as tf

from agem_tf.extraction import describe, fingerprint, merge_scales
from agem_tf.models import AGeM


@pytest.fixture(scope="module")
def mac():
    return AGeM(attention="none", pooling="mac")


def with_weights_of(model, **options):
    other = AGeM(attention="none", **options)
    other.set_weights(model.get_weights())
    return other


def test_equal_weights_of_another_pooling_are_another_network(mac):
    prints = {
        fingerprint(with_weights_of(mac, **options))
        for options in (
            {"pooling": "spoc"},
            {"pooling": "rmac"},
            {"pooling": "rmac", "pooling_options": {"levels": 2}},
            {"pooling": "mac", "regional": True},
        )
    }
    assert len(prints | {fingerprint(mac)}) == 5


def test_equal_networks_agree(mac):
    assert fingerprint(with_weights_of(mac, pooling="mac")) == fingerprint(mac)


def test_scales_are_merged_by_the_generalized_mean():
    # ((1 + 8) / 2) ** (1 / 3) and ((27 + 0) / 2) ** (1 / 3), normalized.
    merged = merge_scales([[[1.0, 3.0]], [[2.0, 0.0]]], 3.0)
    x, y = 4.5 ** (1 / 3), 13.5 ** (1 / 3)
    norm = (x * x + y * y) ** 0.5
    assert merged.numpy()[0] == pytest.approx([x / norm, y / norm], rel=1e-5)


def test_small_scales_are_not_enlarged(mac):
    """A network that pads its convolutions takes images of any size."""
    image = tf.random.stateless_uniform((1, 40, 50, 3), (0, 1), 0, 255)
    small = tf.image.resize(image, (10, 12))
    np.testing.assert_allclose(
        describe(mac, image, None, (1.0, 0.25)),
        merge_scales([mac(image), mac(small)], 1.0),
        atol=1e-5,
    )
