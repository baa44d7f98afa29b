"""Ground truths, protocols, and the scores of descriptors under them.

Everything is NumPy, and results are numbers; `pages` shows them with photos.
"""
