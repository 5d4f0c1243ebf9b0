"""How tf.data reads files."""

import tensorflow as tf


def untuned() -> tf.data.Options:
    """Returns options with which nothing is tuned while it is read.

    TensorFlow's tuner sleeps for 10 ms, then twice as long each time. When all is read, reading may not end
    before it wakes up: an epoch of 25 s then takes 43 s.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options
