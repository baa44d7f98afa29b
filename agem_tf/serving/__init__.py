"""The HTTP service of an index: search, photos, and protocols of its model."""
