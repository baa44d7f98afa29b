"""Files that are complete or absent: atomic writing, manifests, locks, rows."""
