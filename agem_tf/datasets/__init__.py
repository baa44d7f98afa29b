"""Photos: dataset builders, record files, and the tf.data pipelines."""
