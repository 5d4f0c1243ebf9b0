"""The configuration of each node, as frozen values.

`pipeline.config` composes these into the configuration of an experiment. They travel to a node as
JSON in its exec properties and are parsed back there into the same objects.
"""

import difflib
import math
import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from components.models import applications, registry

SPLITS = ("train", "validation", "test")

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """Strict, frozen settings that name the allowed keys when they meet an unknown one."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=False,
        serialize_by_alias=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _name_unknown_key(cls, values: Any) -> Any:
        if isinstance(values, dict):
            allowed = _keys(cls)
            for key in values:
                if key not in allowed:
                    raise PydanticCustomError("unknown_key", "{message}", _unknown_key(cls, key))
        return values


def _keys(cls: type[Settings]) -> list[str]:
    return [field.alias or name for name, field in cls.model_fields.items()]


def _unknown_key(cls: type[Settings], key: object) -> dict[str, str]:
    allowed = _keys(cls)
    close = difflib.get_close_matches(str(key), allowed, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return {"message": f"unknown key {key!r}; allowed: {', '.join(allowed)}{hint}"}


def _custom_error(message: str) -> PydanticCustomError:
    return PydanticCustomError("value", "{message}", {"message": message})


class Splits(Settings):
    """A TFDS split expression, such as `train[:90%]`, for each split of the pipeline."""

    train: str
    validation: str
    test: str


class SplitFractions(Settings):
    """The share of the images that goes to each split; the three add up to 1."""

    train: Fraction = 0.8
    validation: Fraction = 0.1
    test: Fraction = 0.1

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise _custom_error(f"the three fractions must add up to 1, not {total:g}")
        return self


class _Data(Settings):
    """What every source has.

    Without `labels`, those of the training and the validation split are left out: students are distilled
    from the teacher alone, and only the test split is labelled.
    """

    max_corrupt_fraction: Fraction = 0.1
    labels: bool = True


class TfdsData(_Data):
    """Any image classification data set of TensorFlow Datasets.

    `sample_weight` names a feature with a number that each example's loss is multiplied by in training.
    """

    source: Literal["tfds"]
    dataset: Annotated[str, Field(min_length=1)]
    data_dir: str | None = None
    splits: Splits
    sample_weight: Annotated[str, Field(min_length=1)] | None = None


class ImageFolderData(_Data):
    """`path/{train,validation,test}/CLASS/*` or `path/CLASS/*`, the latter split by fractions.

    Without `labels`, the images of train and validation need no class folders.
    """

    source: Literal["image_folder"]
    path: Annotated[str, Field(min_length=1)]
    split_fractions: SplitFractions = SplitFractions()


class DigitsData(_Data):
    """The 1,797 handwritten digits of 8x8 pixels that come with scikit-learn."""

    source: Literal["digits"]
    split_fractions: SplitFractions = SplitFractions(train=0.6, validation=0.2, test=0.2)


DataSettings = Annotated[TfdsData | ImageFolderData | DigitsData, Field(discriminator="source")]


class ImageSettings(Settings):
    """The size, in pixels, and the channels of the images that the models see."""

    height: PositiveInt
    width: PositiveInt
    channels: Literal[1, 3]

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)`."""
        return self.height, self.width, self.channels


class ModelSettings(Settings):
    """An architecture and how it is trained."""

    architecture: str
    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @field_validator("architecture")
    @classmethod
    def _known_architecture(cls, name: str) -> str:
        problem = registry.find_problem(name)
        if problem:
            raise _custom_error(problem)
        return name


def _to_class_weights(value: Any) -> Any:
    """Refuses in one sentence all that is not `balanced` or positive weights by class name."""
    if value == "balanced":
        return value
    if not isinstance(value, dict) or not value:
        raise _custom_error("must be balanced, or a weight for each of some classes, as in {cat: 2.0}")
    weights = {}
    for name, weight in value.items():
        if not isinstance(name, str | int) or isinstance(name, bool):
            raise _custom_error(f"holds the class {name!r}, which is no text; put it in quotes")
        is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not is_number or not 0 < weight < math.inf:
            raise _custom_error(f"holds {weight!r} for the class {str(name)!r}; a weight must be above 0")
        weights[str(name)] = float(weight)
    return weights


# `balanced` lets each class count alike; a class that is not named has weight 1.
ClassWeights = Annotated[Literal["balanced"] | dict[str, float], BeforeValidator(_to_class_weights)]


class FineTunedTeacher(ModelSettings):
    """An architecture of `keras.applications` on top of which a layer of logits is trained.

    `weights` is a file with the weights of all layers but the last; None starts from random ones. The new
    layer is trained alone for `head_epochs`, then everything for `epochs`.
    """

    weights: str | None
    head_epochs: NonNegativeInt = 1
    head_learning_rate: PositiveFloat = 0.001

    @field_validator("architecture")
    @classmethod
    def _known_architecture(cls, name: str) -> str:
        problem = applications.find_problem(name)
        if problem:
            raise _custom_error(problem)
        return name


class BroughtTeacher(Settings):
    """A trained model that is brought along: a `.keras` file or the directory of a SavedModel.

    `outputs` says what it returns, and `pixels` the range of the values that it was trained on.
    """

    path: Annotated[str, Field(alias="from", min_length=1)]
    outputs: Literal["logits", "probabilities"] = "logits"
    pixels: Literal["zero_to_one", "minus_one_to_one", "zero_to_255"] = "zero_to_one"


def _kind_of_teacher(value: Any) -> str:
    """Tells by its keys which teacher a value describes."""
    if isinstance(value, Settings):
        value = dict.fromkeys(_keys(type(value))) | dict(value)
    if isinstance(value, dict) and "from" in value:
        return "brought_along"
    if isinstance(value, dict) and applications.is_application(value.get("architecture")):
        return "fine_tuned"
    return "trained"


def _kind_of_teachers(value: Any) -> str:
    return "several" if isinstance(value, list | tuple) else _kind_of_teacher(value)


def _check_number_of_teachers(teachers: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(teachers) < 2:
        raise _custom_error("must list at least two teachers; give a single one without the list")
    return teachers


TrainedModel = Annotated[
    Annotated[ModelSettings, Tag("trained")] | Annotated[FineTunedTeacher, Tag("fine_tuned")],
    Discriminator(_kind_of_teacher),
]
Teacher = Annotated[
    Annotated[ModelSettings, Tag("trained")]
    | Annotated[FineTunedTeacher, Tag("fine_tuned")]
    | Annotated[BroughtTeacher, Tag("brought_along")],
    Discriminator(_kind_of_teacher),
]
TeacherSettings = Annotated[
    Annotated[ModelSettings, Tag("trained")]
    | Annotated[FineTunedTeacher, Tag("fine_tuned")]
    | Annotated[BroughtTeacher, Tag("brought_along")]
    | Annotated[
        tuple[Teacher, ...],
        Field(strict=False),
        AfterValidator(_check_number_of_teachers),
        Tag("several"),
    ],
    Discriminator(_kind_of_teachers),
]


class HardwareSettings(Settings):
    """What training runs on: the numeric precision and the distribution over GPUs.

    `precision` is a Keras dtype policy, or `auto`: bfloat16 where the machine that trains computes in it,
    float32 elsewhere. `mirrored` spreads each batch over all GPUs of the machine.
    """

    precision: Literal["float32", "mixed_bfloat16", "mixed_float16", "auto"] = "float32"
    strategy: Literal["single", "mirrored"] = "single"


class AugmentSettings(Settings):
    """Random changes to the images of every training, none of them by default; see `Augmentation`.

    `shift`, `crop` and `colour` are shares, `mixup` is the alpha of Zhang et al. 2018,
    https://arxiv.org/abs/1710.09412.
    """

    horizontal_flip: bool = False
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    crop: Annotated[float, Field(gt=0, lt=1)] | None = None
    colour: Fraction = 0.0
    mixup: NonNegativeFloat = 0.0

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not any(self.model_dump().values()):
            raise _custom_error(f"changes nothing; set one of {', '.join(type(self).model_fields)}")
        return self


class TrainingJob(Settings):
    """All that a node that trains one model needs to be told.

    `labels` tells whether the examples to train and to validate on have some.
    `code_fingerprint` takes part in nothing: it tells the cache when the architecture's code changed.
    `checkpoint_directory` outlives the machine that trains; None is beside the node's outputs.
    """

    name: str
    model: TrainedModel
    image: ImageSettings
    hardware: HardwareSettings
    seed: int
    labels: bool = True
    class_weights: ClassWeights | None = None
    code_fingerprint: str = ""
    checkpoint_directory: str | None = None
    augment: AugmentSettings | None = None


class TeacherImport(Settings):
    """All that a node that takes a teacher brought along needs to be told.

    `file_fingerprint` takes part in nothing: it tells the cache when the teacher's content changed.
    """

    teacher: BroughtTeacher
    image: ImageSettings
    file_fingerprint: str = ""


class _Distillation(Settings):
    """What every method has: a name, and the weight of the student's own loss on the labels.

    `student_loss_weight` 0 is pure distillation, 1 is supervised training.
    """

    name: str
    student_loss_weight: Fraction = 0.1

    @field_validator("name")
    @classmethod
    def _usable_name(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
            raise _custom_error("must start with a letter and hold only letters, digits, '_' and '-'")
        if name.lower() in ("teacher", "scratch"):
            raise _custom_error("is the name of another model of the comparison; choose another")
        return name


class KdSettings(_Distillation):
    """Knowledge distillation, Hinton et al. 2015, https://arxiv.org/abs/1503.02531.

    `standardise_logits`: Sun et al. 2024, https://arxiv.org/abs/2403.01427.
    """

    method: Literal["kd"]
    temperature: PositiveFloat = 4.0
    standardise_logits: bool = False


class DkdSettings(_Distillation):
    """Decoupled knowledge distillation, Zhao et al. 2022, https://arxiv.org/abs/2203.08679.

    The defaults are the paper's for CIFAR-100, where the student's own loss and the distance to the
    teacher count alike.
    """

    method: Literal["dkd"]
    student_loss_weight: Fraction = 0.5
    temperature: PositiveFloat = 4.0
    target_weight: NonNegativeFloat = 1.0
    non_target_weight: NonNegativeFloat = 8.0
    warmup_epochs: NonNegativeInt = 20
    standardise_logits: bool = False


class DistSettings(_Distillation):
    """DIST, which correlates, Huang et al. 2022, https://arxiv.org/abs/2205.10536."""

    method: Literal["dist"]
    student_loss_weight: Fraction = 0.33
    temperature: PositiveFloat = 1.0
    inter_class_weight: NonNegativeFloat = 1.0
    intra_class_weight: NonNegativeFloat = 1.0


class LogitsMseSettings(_Distillation):
    """Matching of logits, Ba and Caruana 2014, https://arxiv.org/abs/1312.6184."""

    method: Literal["logits_mse"]


class HintSettings(_Distillation):
    """Hints from a hidden layer, beside kd: FitNets, Romero et al. 2015, https://arxiv.org/abs/1412.6550.

    The teacher runs in the training step. A layer inside a nested model is `MODEL/LAYER`.
    """

    method: Literal["hint"]
    teacher_layer: Annotated[str, Field(min_length=1)]
    student_layer: Annotated[str, Field(min_length=1)]
    hint_weight: NonNegativeFloat = 1.0
    temperature: PositiveFloat = 4.0


DistillationSettings = Annotated[
    KdSettings | DkdSettings | DistSettings | LogitsMseSettings | HintSettings, Field(discriminator="method")
]


def _to_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


QualityMetric = Literal[
    "accuracy",
    "cross_entropy",
    "expected_calibration_error",
    "macro_f1",
    "auc",
    "top_k_accuracy",
    "agreement_with_teacher",
    "kl_from_teacher",
    "agreement_where_teacher_right",
    "agreement_where_teacher_wrong",
]


class _Threshold(Settings):
    """Bounds on a number, on all test images or on those of `slice`: `FEATURE=VALUE` or `class=NAME`."""

    min: float | None = None
    max: float | None = None
    slice: str | None = None

    @field_validator("slice")
    @classmethod
    def _feature_and_value(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"[^=]+=.+", name):
            raise _custom_error("must be FEATURE=VALUE, as in image_size=64-127, or class=NAME")
        return name


class ValueThreshold(_Threshold):
    """Bounds on a metric of the candidate."""

    metric: QualityMetric

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.min is None and self.max is None:
            raise _custom_error("asks for nothing; give min or max")
        return self


class ChangeThreshold(_Threshold):
    """Bounds on a metric of the candidate minus that of another model, on the same images.

    With `significant` the difference must be more than chance: `better` asks that the candidate is
    significantly better, `not_worse` that it is not significantly worse.
    """

    baseline: Literal["scratch", "teacher", "incumbent"]
    metric: Literal["accuracy", "cross_entropy"] = "accuracy"
    significant: Literal["better", "not_worse"] | None = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.min is None and self.max is None and self.significant is None:
            raise _custom_error("asks for nothing; give min, max or significant")
        return self


class EvaluationSettings(Settings):
    """What the candidate student must reach on the test split to be blessed.

    `max_accuracy_drop` bounds what it may lose against the incumbent, the student that was pushed last.
    `slices` names features of the examples, or `image_size`: everything is measured for each of their
    values too.
    """

    min_accuracy: Fraction = 0.0
    max_accuracy_drop: Fraction = 0.01
    against_scratch: Literal["not_worse", "better", "any"] = "not_worse"
    significance_level: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    min_gap_closed: float | None = None
    max_size_bytes: PositiveInt | None = None
    max_latency_ms: Annotated[float, Field(gt=0)] | None = None
    slices: Annotated[tuple[str, ...], BeforeValidator(_to_tuple)] = ()
    values: Annotated[tuple[ValueThreshold, ...], BeforeValidator(_to_tuple)] = ()
    changes: Annotated[tuple[ChangeThreshold, ...], BeforeValidator(_to_tuple)] = ()

    @field_validator("slices")
    @classmethod
    def _usable_slices(cls, slices: tuple[str, ...]) -> tuple[str, ...]:
        for name in slices:
            if name in ("label", "class"):
                raise _custom_error("needs no mention of the classes: they are measured in any case")
            if slices.count(name) > 1:
                raise _custom_error(f"names {name!r} twice; keep one")
        return slices

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for threshold in (*self.values, *self.changes):
            feature = (threshold.slice or "class").partition("=")[0]
            if feature not in ("class", *self.slices):
                raise _custom_error(
                    f"a threshold is set on the slice {threshold.slice!r}, but {feature!r} is not among the "
                    "slices; add it there"
                )
        for subject, bounds in self._bounds().items():
            least = max((low for low, _ in bounds if low is not None), default=None)
            most = min((high for _, high in bounds if high is not None), default=None)
            if least is not None and most is not None and least > most:
                raise _custom_error(
                    f"the thresholds on {subject} contradict each other: at least {least:g} and at most "
                    f"{most:g}"
                )
        return self

    def _bounds(self) -> dict[str, list[tuple[float | None, float | None]]]:
        """Returns the bounds of each subject; what must be significantly better must be above 0."""
        bounds: dict[str, list[tuple[float | None, float | None]]] = {"accuracy": [(self.min_accuracy, 1)]}
        changes = list(self.changes)
        if self.against_scratch == "better":
            changes.append(ChangeThreshold(baseline="scratch", significant="better"))
        if self.max_accuracy_drop < 1:
            changes.append(ChangeThreshold(baseline="incumbent", min=-self.max_accuracy_drop))
        for value in self.values:
            bounds.setdefault(_subject(value.metric, value.slice), []).append((value.min, value.max))
        for change in changes:
            subject = _subject(f"{change.metric} against {change.baseline}", change.slice)
            bounds.setdefault(subject, []).append((change.min, change.max))
            if change.significant == "better":
                tiny = 5e-324  # The least number above 0.
                better = (tiny, None) if change.metric == "accuracy" else (None, -tiny)
                bounds[subject].append(better)
        return bounds


def _subject(metric: str, slice_name: str | None) -> str:
    return f"{metric} on {slice_name}" if slice_name else metric


class PushSettings(Settings):
    """Where a blessed student goes; None is inside the workspace."""

    directory: str | None = None
