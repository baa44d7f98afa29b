"""What Google's TPU compiler says of a recipe's programs, without a TPU.

The steps of training and extraction are lowered from TensorFlow, and compiled
by the compiler that a TPU virtual machine would run, for chips that are not
there. JAX drives it in a process of its own.
"""
