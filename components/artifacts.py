"""Artifact types of our own."""

from tfx.types import artifact


class TeacherPredictions(artifact.Artifact):
    """A teacher's logits for the training split; see `components.teacher_predictions.store`."""

    TYPE_NAME = "distillation.TeacherPredictions"
