"""Photos: listing, reading, decoding, and the canvases they are padded to."""
