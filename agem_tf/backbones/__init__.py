"""Convolutional networks with named feature maps and pretrained weights."""

from agem_tf.backbones.backbone import Backbone
from agem_tf.backbones.factory import create

__all__ = ["Backbone", "create"]
