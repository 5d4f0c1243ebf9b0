"""ExampleGen: from a source of images to tf.Examples in three splits."""
