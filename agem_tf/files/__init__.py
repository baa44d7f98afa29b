"""Files: atomic writing, manifests, rows, and readers of untrusted formats."""
