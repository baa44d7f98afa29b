"""Convolutional networks with named feature maps and pretrained weights."""

from agem_tf.backbones.backbone import Backbone, create_backbone

__all__ = ["Backbone", "create_backbone"]
