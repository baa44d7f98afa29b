"""Where a model runs: one device, several GPUs, several machines, a TPU.

The rest of the package sees a tf.distribute strategy and the functions of this
room, and is one program for all of them; batch sizes in recipes are global.
"""
