"""What a model returns: logits, or probabilities. Knows NumPy alone."""

import numpy as np

# What a smaller probability counts as, where a logit is its logarithm.
SMALLEST_PROBABILITY = 1e-7

_TOLERANCE = 1e-2  # Of the sum of probabilities, which may be of half precision.


def are_probabilities(outputs: np.ndarray) -> np.ndarray:
    """Tells of each row of outputs `[batch, num_classes]` whether it looks like probabilities, `[batch]`."""
    return (outputs >= 0).all(axis=-1) & (np.abs(outputs.sum(axis=-1) - 1) <= _TOLERANCE)
