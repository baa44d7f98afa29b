"""From a folder of photos to an index, and from a photo to what it shows."""
