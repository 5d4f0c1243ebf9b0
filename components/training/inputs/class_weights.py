"""How much the examples of each class count."""

from collections.abc import Mapping, Sequence

from components.schema_gen.schema import check_class_weights


def balanced_weights(counts: Mapping[int, int], *, num_classes: int) -> list[float]:
    """Weighs classes so that each that occurs counts alike, as scikit-learn's `compute_class_weight` does.

    Args:
      counts: The number of examples of each label.
      num_classes: How many labels there are.

    Returns:
      n / (k n_c) for each label, where n is the number of examples, k that of the classes that occur and
      n_c that of the examples of the class; 1 for a class that does not occur.
    """
    total, classes = sum(counts.values()), len(counts)
    return [total / (classes * counts[label]) if label in counts else 1.0 for label in range(num_classes)]


def named_weights(weights: Mapping[str, float], *, class_names: Sequence[str]) -> list[float]:
    """Puts weights into the order of the labels; a class that is not named has weight 1.

    Raises:
      InputError: A weight is given for something that is no class.
    """
    check_class_weights(weights, class_names=class_names)
    return [weights.get(name, 1.0) for name in class_names]
