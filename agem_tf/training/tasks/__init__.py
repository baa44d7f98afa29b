"""What a network is trained on: tuples of photos, or photos and classes."""
