"""Ground truths, rankings, protocols and the report of an evaluation.

Protocols are NumPy: ranks and ground truth in, named results out.
"""
