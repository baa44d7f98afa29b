"""Descriptors of photos, at one or several scales."""
