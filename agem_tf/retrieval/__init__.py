"""Nearest neighbours, rankings, indexes and re-ranking of descriptors."""
