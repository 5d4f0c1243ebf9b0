"""What a model is trained on."""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingData:
    """The examples of a training, as files of transformed examples and their number.

    Attributes:
      training_files: TFRecord files of the examples to train on.
      num_training_examples: How many they hold together.
      validation_files: Likewise of those to validate on.
      num_validation_examples: How many they hold together.
      class_names: In the order of the labels.
      prediction_files: The teacher's predictions for the examples to train on, in the same order, if the
        objective wants them or the examples have no labels.
      validation_prediction_files: Those for the examples to validate on, if neither have labels: the
        teacher's most likely class then stands for the label of each.
      unlabelled_files: TFRecord files of further examples to train on, without labels, if there are any.
      num_unlabelled_examples: How many they hold together.
      unlabelled_prediction_files: The teacher's predictions for those, if the objective wants stored ones.
      class_weights: The weight of the examples of each class, in the order of the labels; none for 1.
      weighted: Whether the examples have a feature `weight`.
    """

    training_files: Sequence[str]
    num_training_examples: int
    validation_files: Sequence[str]
    num_validation_examples: int
    class_names: Sequence[str]
    prediction_files: Sequence[str] = ()
    validation_prediction_files: Sequence[str] = ()
    unlabelled_files: Sequence[str] = ()
    num_unlabelled_examples: int = 0
    unlabelled_prediction_files: Sequence[str] = ()
    class_weights: Sequence[float] = ()
    weighted: bool = False

    @property
    def all_prediction_files(self) -> list[str]:
        """The teacher's predictions for all examples that have some."""
        return [
            *self.prediction_files,
            *self.unlabelled_prediction_files,
            *self.validation_prediction_files,
        ]
