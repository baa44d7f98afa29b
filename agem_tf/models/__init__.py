"""Retrieval networks, from images to descriptors."""

from agem_tf.models.agem import AGeM

__all__ = ["AGeM"]
