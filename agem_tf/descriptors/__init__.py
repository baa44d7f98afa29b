"""Descriptor sets, and the whitening learned from them and applied to them."""
