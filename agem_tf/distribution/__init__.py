"""Distribution: one device, several GPUs, several machines or a TPU.

The rest of the package uses a tf.distribute strategy and the functions of this
room, and is one program for all of them. Batch sizes in recipes are global.
"""
