"""Retrieval networks, from images to descriptors."""

from agem_tf.models.agem import AGeM
from agem_tf.models.delf import DELF

__all__ = ["AGeM", "DELF"]
