"""Compilation of a recipe's programs by Google's TPU compiler, without a TPU.

The steps of training and extraction are lowered from TensorFlow and compiled by
the compiler that a TPU virtual machine would use. JAX runs it in a separate
process.
"""
