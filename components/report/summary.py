"""What `evaluation.json` and `summary.json` hold, as types.

A number that is not finite, and an interval with such an end, are null. The numbers that say how good a model
is follow from `components.metrics`: a metric that is added there is a field here.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model, model_validator

from components.metrics import ACCURACY, CALIBRATION_BINS, CROSS_ENTROPY, METRICS, TOP_K_ACCURACY, Metric

# It changes when a key changes its meaning or goes.
SCHEMA_VERSION: Final = 1

# What is measured on the reference images.
REFERENCE_METRICS: Final = (ACCURACY, CROSS_ENTROPY)

Role = Literal["teacher", "scratch", "distilled", "incumbent"]
TestedOn = Literal["test", "reference"]
Unit = Literal["share", "nats", "probability", "bytes", "milliseconds", "ratio", "none"]


def _null_unless_finite(value: Any) -> Any:
    """Returns a number or an interval as it is, or None if a number in it is missing or not finite."""
    numbers = value if isinstance(value, list | tuple) else (value,)
    is_undefined = (each is None or (isinstance(each, float) and not math.isfinite(each)) for each in numbers)
    return None if any(is_undefined) else value


_OrNull = BeforeValidator(_null_unless_finite)
Count = Annotated[int, Field(ge=0)]
Number = Annotated[float | None, _OrNull]
Amount = Annotated[Annotated[float, Field(ge=0)] | None, _OrNull]
Share = Annotated[Annotated[float, Field(ge=0, le=1)] | None, _OrNull]
Interval = Annotated[tuple[float, float] | None, _OrNull]


class Part(BaseModel):
    """A part of a summary: frozen, with all of its keys and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TopK(Part):
    """A top-k accuracy."""

    k: int = Field(ge=2, description="How many of the most probable classes count.")
    accuracy: Share = Field(description="Share of images whose label is among them.")


class Measures(Part):
    """What has a field for each of several metrics."""

    def metric(self, metric: Metric) -> float | None:
        """Returns what was measured for a metric; None where it is undefined or not finite."""
        found = getattr(self, key_of(metric))
        return found.accuracy if isinstance(found, TopK) else found


def key_of(metric: Metric) -> str:
    """Returns the key under which a metric is written; the top-k accuracy is written with its k."""
    return "top_k" if metric is TOP_K_ACCURACY else metric.name


def _field(metric: Metric) -> Any:
    """Returns the type and the description of the field of a metric."""
    if metric is TOP_K_ACCURACY:
        return Annotated[TopK | None, Field(description=metric.description)]
    kind = Share if metric.unit == "share" else Number
    return Annotated[kind, Field(description=metric.description)]


_M = TypeVar("_M", bound=Measures)


def _with_fields_for(metrics: Iterable[Metric]) -> Callable[[type[_M]], type[_M]]:
    """Adds a field for each metric to the model that it decorates."""
    fields: dict[str, Any] = {key_of(metric): _field(metric) for metric in metrics}

    def extend(base: type[_M]) -> type[_M]:
        return create_model(
            base.__name__, __base__=base, __module__=base.__module__, __doc__=base.__doc__, **fields
        )

    return extend


@_with_fields_for(METRICS)
class Quality(Measures):
    """How good a model is on some images."""


@_with_fields_for(metric for metric in METRICS if metric.per_class)
class ClassQuality(Measures):
    """How good a model is on the test images of one class."""

    examples: Count = Field(description="Number of test images of the class.")
    precision: Share = Field(
        description="Share of the images that the model puts into the class that belong there."
    )
    f1: Share = Field(description="Harmonic mean of precision and recall.")


class SliceQuality(Quality):
    """How good a model is on the test images with one value of a feature."""

    feature: str = Field(description="A feature of `evaluation.slices`.")
    value: str = Field(description="Its value, or a range of values.")
    examples: Count = Field(description="Number of test images of the slice.")


class Latency(Part):
    """The time that a warm model takes for one image."""

    median: float = Field(ge=0, description="In milliseconds.")
    p95: float = Field(ge=0, description="95th percentile, in milliseconds.")


class Bin(Part):
    """A bin of the confidence, which is the probability of the most probable class."""

    low: float = Field(description="Lower end of the bin.")
    high: float = Field(description="Upper end of the bin.")
    count: Count = Field(description="Number of images in the bin.")
    confidence: Share = Field(description="Mean confidence; null if the bin is empty.")
    accuracy: Share = Field(description="Accuracy; null if the bin is empty.")


class Model(Quality):
    """A model: how good it is on the test split, and what it costs."""

    role: Role = Field(description="What the model is in the comparison.")
    parameters: Count | None = Field(
        description="Number of weights, trainable or not; null of a teacher that is known by its predictions "
        "alone, as are the following."
    )
    size_bytes: Count | None = Field(description="Size of the files of the served model, in bytes.")
    multiply_adds: Count | None = Field(
        description="Multiply-adds of the matrix products and convolutions for one image; null where they "
        "cannot be counted, too."
    )
    latency_ms: Latency | None = Field(description="Time for one image, in milliseconds.")
    throughput: Amount = Field(description="Images per second in batches of 64, warm.")
    confusion_matrix: tuple[tuple[Count, ...], ...] = Field(
        description="Number of images by label (row) and most probable class (column)."
    )
    reliability: tuple[Bin, ...] = Field(description=f"{CALIBRATION_BINS} equal bins of the confidence.")
    per_class: Mapping[str, ClassQuality] = Field(description="By class name, in the order of `class_names`.")
    slices: tuple[SliceQuality, ...] = Field(
        description="One for each value of each feature of `evaluation.slices`."
    )


class Difference(Part):
    """A paired difference between two models, on the same images."""

    candidate: str = Field(description="The distilled student.")
    baseline: str = Field(description="The model that it is compared with.")
    slice: None = Field(description="Always null: all images count.")
    metric: Literal["accuracy", "cross_entropy"] = Field(description="What is compared.")
    estimate: Number = Field(
        description="Candidate minus baseline: a share of 1 for the accuracy, else nats."
    )
    confidence_interval: Interval = Field(
        description="`[low, high]`, in the same unit; null where it is undefined."
    )
    p_value: Number = Field(
        description="Two-sided: exact McNemar test for the accuracy, paired t-test for cross-entropy."
    )


class GapClosed(Part):
    """The share of the gap in accuracy between scratch and teacher that a distilled student closes."""

    estimate: Number = Field(
        description="(distilled - scratch) / (teacher - scratch); null where it is undefined."
    )
    confidence_interval: Interval = Field(description="`[low, high]`; null where it is undefined.")
    reason: str | None = Field(description="Why it is undefined; null where it is not.")


class Gate(Part):
    """One condition that the candidate has to meet."""

    name: str = Field(description="What is measured, in words.")
    model: str = Field(description="The model on which it is measured: the candidate.")
    baseline: str | None = Field(description="The model that it is compared with, or null.")
    slice: str | None = Field(description="`FEATURE=VALUE`, or null for all test images.")
    split: TestedOn = Field(
        default="test", description="Whether the test split counts, or the reference images."
    )
    relation: Literal["at least", "at most", "finite"] = Field(
        description="How what is measured has to stand to the bound."
    )
    unit: Unit = Field(description="Of both.")
    bound: float | None = Field(description="Null where what is measured only has to be a finite number.")
    measured: Number = Field(description="Null where it is not a finite number; such a gate does not hold.")
    held: bool = Field(description="Whether the condition is met.")
    detail: str = Field(description="More numbers or a reason, in a few words; may be empty.")

    @property
    def images(self) -> str:
        """On which images it is measured, in a word."""
        return "reference" if self.split == "reference" else self.slice or "all"


class Layer(Part):
    """A layer of a network."""

    name: str = Field(description="Its name within the network.")
    type: str = Field(description="Its class in Keras.")
    output_shape: tuple[int | None, ...] = Field(
        description="The batch first; null is any size, empty is not known."
    )
    parameters: Count = Field(description="Number of weights, trainable or not.")


class Architectures(Part):
    """The layers of the two networks, from the image to the logits."""

    teacher: tuple[Layer, ...] = Field(description="Of the teacher; none where they are unknown.")
    student: tuple[Layer, ...] = Field(description="Of the student, distilled or not.")


class Epoch(Part):
    """One pass over the training split."""

    epoch: int = Field(ge=1, description="Its number, from 1.")
    seconds: float = Field(ge=0, description="Its time, in seconds.")
    loss: Number = Field(description="Mean loss in training.")
    accuracy: float = Field(description="In training, a share of 1.")
    val_loss: Number = Field(
        description="Cross-entropy on the validation split, in nats, the same for all models."
    )
    val_accuracy: float = Field(description="On the validation split, a share of 1.")
    learning_rate: float | None = Field(
        default=None, description="Of its last step; null in runs of earlier versions."
    )


class History(Part):
    """The training of a model."""

    best_epoch: int | None = Field(
        description="The epoch whose weights were kept; null for a model that was not trained in the run."
    )
    reference: Literal["labels", "teacher"] = Field(
        default="labels",
        description="Whose classes the accuracies and `val_loss` compare with; with the teacher's, an "
        "accuracy is the agreement with the teacher.",
    )
    precision: str | None = Field(
        default=None,
        description="Keras dtype policy of the training; null for a model that was not trained in the run.",
    )
    training_examples: Count | None = Field(
        default=None,
        description="Number of images of the training split, but for those without labels beside labelled "
        "ones; null for a model that was not trained in the run, and in older summaries.",
    )
    unlabelled_examples: Count | None = Field(
        default=None, description="Number of images without labels that it saw beside them; null likewise."
    )
    decision: str | None = Field(
        default=None,
        description="Of a teacher that may be kept from run to run: whether it was, and why; null of others.",
    )
    epochs: tuple[Epoch, ...] = Field(
        description="In order; none for a model that was not trained in the run."
    )

    @property
    def best(self) -> Epoch:
        """The epoch whose weights were kept; one that was not trained in the run has none."""
        return next(epoch for epoch in self.epochs if epoch.epoch == self.best_epoch)


class Variant(Part):
    """One of the settings that were tried for a distilled student, judged on the validation split alone."""

    settings: Mapping[str, bool | int | float] = Field(description="Its value for each key of several.")
    chosen: bool = Field(description="Whether it is the best, and so the student of the comparison.")
    diverged_in: int | None = Field(
        default=None,
        ge=1,
        description="The epoch in which its loss became NaN or infinite, so that it was left out of the "
        "choice; null if that did not happen, and in older summaries.",
    )
    best_epoch: int | None = Field(
        description="The epoch with its best validation accuracy; null if it diverged, as are the following "
        "numbers of the validation split."
    )
    epochs: Count = Field(
        description="Number of epochs that it was trained to their end; with halving fewer of the worse."
    )
    val_accuracy: Share = Field(description="On the validation split at its best epoch, a share of 1.")
    val_loss: Number = Field(description="Cross-entropy there, in nats.")


class Machine(Part):
    """The machine on which the latencies and throughputs were measured."""

    processor: str = Field(description="Its name.")
    cores: Count = Field(description="Number of logical cores that the process may use.")
    memory_bytes: Count = Field(description="Main memory, in bytes.")
    system: str = Field(description="Operating system, its release, and the architecture.")


class FeatureDrift(Part):
    """How far one feature of the training images has drifted."""

    feature: str = Field(description="What is compared.")
    distance: float = Field(
        ge=0,
        le=1,
        description="Jensen-Shannon distance (base 2) of the two distributions: 0 is none, 1 is nothing in "
        "common.",
    )
    p_value: float = Field(
        ge=0,
        le=1,
        description="Of a chi-squared test that both are one distribution, adjusted by Holm's method.",
    )
    status: Literal["none", "warn", "stop"] = Field(
        description="Whether it is significant and beyond a threshold of `drift`."
    )
    detail: str = Field(description="What has changed, in a few words.")


class Drift(Part):
    """How far the training images have drifted from those that the student that ships was trained on."""

    version: str = Field(description="The version of the student that ships.")
    images_before: Count = Field(description="Number of images that it was trained on.")
    images_now: Count = Field(description="Number of training images of this run.")
    features: tuple[FeatureDrift, ...] = Field(description="One for each feature that both have.")


class DuplicatePair(Part):
    """A held-out image that is among the training images too."""

    image: str = Field(description="Its id.")
    training_image: str = Field(description="The id of the training image.")
    kind: Literal["exact", "near"] = Field(
        description="Whether both are the same file, or look the same to a perceptual hash."
    )


class Duplicates(Part):
    """The images of a held-out split that are among the training images too."""

    split: str = Field(description="The held-out split: `validation`, `test` or `reference`.")
    images: Count = Field(description="Number of its images.")
    exact: Count = Field(description="Number of them of which the same file is a training image.")
    near: Count = Field(description="Number of the others that look the same as a training image.")
    pairs: tuple[DuplicatePair, ...] = Field(description="The first few.")


class DataCheck(Part):
    """What was found in the data before anything was trained on it."""

    drift: Drift | None = Field(
        description="Null where no student shipped, or it has no profile of what it was trained on."
    )
    duplicates: tuple[Duplicates, ...] = Field(description="One for each held-out split.")


@_with_fields_for(REFERENCE_METRICS)
class ReferenceModel(Measures):
    """How good a model is on the reference images."""


class Reference(Part):
    """How the models compare on the reference images, which are the same in every run."""

    examples: Count = Field(description="Number of reference images.")
    verdict: str = Field(description="What was found there, in a sentence.")
    models: Mapping[str, ReferenceModel] = Field(description="By name, as on the test split.")
    differences: tuple[Difference, ...] = Field(
        description="Each distilled student against scratch, teacher and incumbent."
    )


class Evaluation(Part):
    """What the Evaluator measured and decided: `evaluation.json`."""

    candidate: str = Field(
        description="The distilled student that was judged: the best on the validation split."
    )
    blessed: bool = Field(description="Whether the candidate may ship: all gates hold.")
    verdict: str = Field(description="The decision and its reasons, in a sentence.")
    warnings: tuple[str, ...] = Field(
        description="What the reader should know, such as an incumbent that does not load."
    )
    gates: tuple[Gate, ...] = Field(description="What the candidate had to meet.")
    class_names: tuple[str, ...] = Field(description="In the order of the outputs.")
    test_examples: Count = Field(description="Number of test images.")
    confidence: float = Field(gt=0, lt=1, description="Level of the confidence intervals.")
    gap_closed: Mapping[str, GapClosed] = Field(description="By distilled student.")
    differences: tuple[Difference, ...] = Field(
        description="Each distilled student against scratch, teacher and incumbent."
    )
    models: Mapping[str, Model] = Field(
        description="`teacher`, `scratch`, each distilled student by its name, and `incumbent`."
    )
    reference: Reference | None = Field(
        default=None,
        description="Of the models on the images of `data.reference`; null where there are none, and in "
        "older summaries.",
    )
    architectures: Architectures = Field(description="The layers of teacher and student.")
    histories: Mapping[str, History] = Field(description="The training of each model but the incumbent.")
    incumbent_version: str | None = Field(
        default=None,
        description="Which version shipped when the candidate was judged, or `none`; null in older "
        "summaries.",
    )
    searches: Mapping[str, tuple[Variant, ...]] = Field(
        default={}, description="The variants of each distilled student of which there were several."
    )
    variants_tried: Count | None = Field(
        default=None,
        description="Among how many variants of all distillations the candidate was chosen, those that "
        "diverged included; null in older summaries.",
    )
    advice: tuple[str, ...] = Field(
        default=(),
        description="What to change, if a student underfits its teacher; none if nothing is known.",
    )
    data_check: DataCheck | None = Field(
        default=None, description="Drift and duplicates in the data; null in older summaries."
    )
    machine: Machine = Field(description="Where latency and throughput were measured.")
    versions: Mapping[str, str] = Field(description="Of Python and of the libraries that decide the numbers.")

    @model_validator(mode="after")
    def _check_models(self) -> Self:
        for name in ("teacher", self.candidate):
            if name not in self.models:
                raise ValueError(f"models lacks {name!r}")
        return self

    @property
    def teacher(self) -> Model:
        """The teacher."""
        return self.models["teacher"]

    @property
    def student(self) -> Model:
        """The candidate."""
        return self.models[self.candidate]

    @property
    def verdicts(self) -> tuple[str, ...]:
        """The decision, and what was found on the reference images, if there are any."""
        return (self.verdict, *([self.reference.verdict] if self.reference else []))

    @property
    def reference_accuracy(self) -> float | None:
        """The candidate's accuracy on the reference images, if there are any."""
        return self.reference.models[self.candidate].metric(ACCURACY) if self.reference else None

    @property
    def display_names(self) -> dict[str, str]:
        """The name of each model, with the number of variants of which it is the best."""
        found = {name: name for name in self.models}
        return found | {name: f"{name} (best of {len(variants)})" for name, variants in self.searches.items()}

    @property
    def leads(self) -> tuple[Difference, ...]:
        """The differences in accuracy between the candidate and each model that it is compared with."""
        return tuple(
            each
            for each in self.differences
            if each.candidate == self.candidate and each.metric == ACCURACY.name
        )


class NodeRun(Part):
    """What became of a node in a run."""

    state: Literal["completed", "cached"] = Field(description="Whether it ran, or its outputs were there.")
    seconds: float = Field(ge=0, description="Its wall time in this run, in seconds.")


class SkippedImage(Part):
    """An image that was left out of the data."""

    id: str = Field(description="Its id, which for a folder of images is its path in there.")
    reason: str = Field(description="Why it was left out.")


class Split(Part):
    """A split of the data."""

    examples: Count = Field(description="Number of images.")
    skipped: Count = Field(description="Number of images that were left out.")
    skipped_images: tuple[SkippedImage, ...] = Field(description="Which were left out, and why.")
    classes: Mapping[str, Count] | None = Field(
        description="Number of images by class name; null where the statistics do not say."
    )


class DataSpan(Part):
    """A span of the data: what was delivered at once."""

    span: str = Field(description="Its number, or its date, as in 2026-11-22.")
    version: Count | None = Field(description="Its version; null where spans have none.")

    def __str__(self) -> str:
        """Names it, as in `2026-11-22` and `7/2`."""
        return self.span if self.version is None else f"{self.span}/{self.version}"


class StoredArtifact(Part):
    """An artifact as ML Metadata knows it."""

    node: str = Field(description="The node that made it.")
    output: str = Field(description="The key of the node's output.")
    type: str = Field(description="Its type.")
    artifact_id: int = Field(description="Its number.")
    uri: str = Field(description="Where it lies: within the workspace a relative path.")


class Run(Part):
    """What is known of a run on this machine, beside its evaluation."""

    schema_version: Literal[1] = Field(description="It changes when a key changes its meaning or goes.")
    name: str = Field(description="The experiment.")
    pushed_model: str | None = Field(
        description="Directory of the student that was pushed; null if none was."
    )
    seed: int = Field(description="The seed of the run.")
    nodes: Mapping[str, NodeRun] = Field(description="By node, in the order in which they ran.")
    data: Mapping[str, Split] = Field(
        description="By split: `train`, `validation`, `test`, and `unlabelled` where there are images "
        "without labels beside the labelled ones, on which distilled students are trained too, and "
        "`reference` where there are such images."
    )
    spans: tuple[DataSpan, ...] = Field(
        default=(),
        description="Of the data, the newest last; none where they do not come span by span, and in older "
        "summaries.",
    )
    anomalies: tuple[str, ...] = Field(
        description="In the data, in TFDV's words. A run with anomalies stops, so a finished one has none."
    )
    fingerprints: Mapping[str, str] = Field(
        description="Of what the cache cannot see by itself: the data, the code and files of each teacher, "
        "the code and files of the student; and the version of the incumbent, or `none`."
    )
    lineage: tuple[StoredArtifact, ...] = Field(
        description="The artifacts of the run, in the order of their making."
    )
    configuration: Mapping[str, Any] = Field(description="The configuration, with all defaults.")


class Summary(Evaluation, Run):
    """What a run measured and decided: `summary.json`."""
