"""Artifact types of our own."""

from tfx.types import artifact


class TeacherPredictions(artifact.Artifact):
    """A teacher's logits for the examples of splits; see `components.teacher_predictions.store`."""

    TYPE_NAME = "distillation.TeacherPredictions"


class SystemMetrics(artifact.Artifact):
    """Numbers that the page of Kubeflow Pipelines lists: the float properties of the artifact."""

    TYPE_NAME = "system.Metrics"


class SystemClassificationMetrics(artifact.Artifact):
    """A confusion matrix that the page of Kubeflow Pipelines draws: its property `confusionMatrix`."""

    TYPE_NAME = "system.ClassificationMetrics"


class SystemHtml(artifact.Artifact):
    """A page that the page of Kubeflow Pipelines embeds."""

    TYPE_NAME = "system.HTML"


class SystemMarkdown(artifact.Artifact):
    """A text that the page of Kubeflow Pipelines renders."""

    TYPE_NAME = "system.Markdown"
