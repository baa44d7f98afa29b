"""Search beyond one dot product per photo."""
