"""Files in, scores and a page out: the work behind `agem_tf.evaluate`."""
