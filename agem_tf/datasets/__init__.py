"""Dataset builders, record files, prepared datasets, tf.data pipelines."""
