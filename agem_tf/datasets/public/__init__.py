"""Builders of the public data sets, from the files as they are published."""
