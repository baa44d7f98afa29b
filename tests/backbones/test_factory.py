"""Backbones by name, and refusals that say what is known."""

import pytest

from agem_tf import backbones


def test_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match="vgg16.*Received: backbone='vgg'"):
        backbones.create("vgg")
