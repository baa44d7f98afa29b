"""What a strategy needs of this machine, asked without TensorFlow.

TensorFlow's import takes seconds and its own answers minutes, so a command that
can't run says so first.
"""
