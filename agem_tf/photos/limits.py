"""Limits of photos from unknown sources, on the host and inside the graph.

They bound the time and the memory of a photo before it is decoded. A PNG of
12 kB can hold 100 megapixels, and a JPEG of 285 kB 300 scans.
"""

MAX_BYTES = 200_000_000
MAX_PIXELS = 100_000_000
# A larger JPEG, of 108 or 200 megapixels from a phone, is decoded at half its
# sides, which libjpeg does without decoding it whole.
MAX_JPEG_PIXELS = 250_000_000
# Pixels that are decoded at the same time, over all threads of a process. A
# pixel needs up to about 12 bytes until it is RGB in a file of its own.
MAX_PIXELS_AT_ONCE = 150_000_000

# Encoders write about ten scans, and a decoder passes over all pixels for each.
MAX_SCANS = 64
MAX_SCANNED_PIXELS = 2_500_000_000
# The start of a scan of 1 to 4 components; libjpeg accepts no other length.
# Four bytes would occur by chance in the video that phones append to a photo.
SCAN_STARTS = tuple(b"\xff\xda\0" + bytes([6 + 2 * n, n]) for n in range(1, 5))
