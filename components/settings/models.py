"""The models, and how each is trained."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationInfo, field_validator

from components.models import applications, registry
from components.settings.base import NonNegativeInt, PositiveFloat, PositiveInt, Settings, custom_error
from components.settings.optimization import Adam, Constant, OptimizerSettings, ScheduleSettings

Resize = Literal["stretch", "crop", "pad"]


class ImageSettings(Settings):
    """The size, in pixels, and the channels of the images that the models see.

    Attributes:
      resize: What becomes of the aspect ratio of an image that has another: `stretch` changes it, `crop` cuts
        the largest part of the right one out of the middle, `pad` keeps everything between black bars.
    """

    height: PositiveInt
    width: PositiveInt
    channels: Literal[1, 3]
    resize: Resize = "stretch"

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)`."""
        return self.height, self.width, self.channels


class TrainingSettings(Settings):
    """How a model is trained.

    Attributes:
      epochs: Passes over the training data.
      batch_size: Examples in a batch, over all devices.
      learning_rate: The optimizer's, at its highest.
      label_smoothing: Share of the target that is spread evenly over all classes in the loss on the labels.
      optimizer: Moves the weights.
      schedule: The learning rate over the training.
      clip_norm: The largest norm of all gradients together, to which larger ones are scaled down; None
        scales none.
      ema_decay: Decay of an exponential moving average of the weights, from step to step, which is what is
        validated and kept; None averages none.
    """

    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    optimizer: OptimizerSettings = Adam(name="adam")
    schedule: ScheduleSettings = Constant(name="constant")
    clip_norm: PositiveFloat | None = None
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None

    @field_validator("optimizer")
    @classmethod
    def _possible_decay(cls, optimizer: OptimizerSettings, info: ValidationInfo) -> OptimizerSettings:
        decay = 0.0 if isinstance(optimizer, Adam) else optimizer.weight_decay
        rate = info.data.get("learning_rate", 0.0)
        if decay * rate >= 1:
            raise custom_error(
                f"at a learning_rate of {rate:g} a weight_decay of {decay:g} takes all of each weight in one "
                "step; take less"
            )
        return optimizer

    @field_validator("schedule")
    @classmethod
    def _possible_schedule(cls, schedule: ScheduleSettings, info: ValidationInfo) -> ScheduleSettings:
        problem = schedule.find_problem(info.data["epochs"]) if "epochs" in info.data else None
        if problem:
            raise custom_error(problem)
        return schedule


class _Architecture(Settings):
    architecture: str

    @field_validator("architecture")
    @classmethod
    def _known_architecture(cls, name: str) -> str:
        problem = registry.find_problem(name)
        if problem:
            raise custom_error(problem)
        return name


class ModelSettings(TrainingSettings, _Architecture):
    """An architecture and how it is trained.

    Attributes:
      architecture: A registered name, or an import path `package.module:function`.
    """


class FineTunedModel(ModelSettings):
    """An architecture of `keras.applications` on top of which a layer of logits is trained.

    The new layer is trained alone for `head_epochs`, then everything for `epochs`.

    Attributes:
      weights: A file with the weights of all layers but the last; None starts from random ones.
      head_epochs: Passes over the training data in which the new layer is trained alone.
      head_learning_rate: In these epochs, in which it is constant.
    """

    weights: str | None
    head_epochs: NonNegativeInt = 1
    head_learning_rate: PositiveFloat = 0.001

    @field_validator("architecture")
    @classmethod
    def _known_architecture(cls, name: str) -> str:
        problem = applications.find_problem(name)
        if problem:
            raise custom_error(problem)
        return name


class ContinuedModel(TrainingSettings):
    """A model from a `.keras` file that is trained further.

    Its last layer may be trained alone for `head_epochs`, then everything for `epochs`.

    Attributes:
      path: The key `from`: the file.
      head_epochs: Passes over the training data in which the last layer is trained alone; None is one if the
        layer is new, because the file's is for other classes, and none if it is not.
      head_learning_rate: In these epochs, in which it is constant.
    """

    path: Annotated[str, Field(alias="from", min_length=1)]
    head_epochs: NonNegativeInt | None = None
    head_learning_rate: PositiveFloat = 0.001


class PretrainedTeacher(Settings):
    """A pretrained model.

    Attributes:
      path: The key `from`: a `.keras` file or the directory of a SavedModel.
      outputs: What it returns.
      pixels: The range of the values that it was trained on.
    """

    path: Annotated[str, Field(alias="from", min_length=1)]
    outputs: Literal["logits", "probabilities"] = "logits"
    pixels: Literal["zero_to_one", "minus_one_to_one", "zero_to_255", "imagenet"] = "zero_to_one"


class OnnxTeacher(PretrainedTeacher):
    """A model of any framework as an ONNX file, which runs once over all images.

    Attributes:
      path: The key `from`: a `.onnx` file.
    """


class PredictedTeacher(Settings):
    """A teacher of any framework that has already said what it thinks of every image.

    Attributes:
      predictions: A file of its predictions; see `components.pretrained.predictions_file`.
    """

    predictions: Annotated[str, Field(min_length=1)]


# Known by their predictions alone: there is no Keras model of them that could run in a training step.
OutsideTeacher = OnnxTeacher | PredictedTeacher

_ONNX_SUFFIX = ".onnx"


def _kind_of_training(value: Any) -> str:
    """Returns the kind of training that a value describes, by its keys and the architecture."""
    if isinstance(value, Settings):
        value = value.model_dump()
    if not isinstance(value, dict):
        return "trained"
    if "from" in value:
        return "continued"
    return "fine_tuned" if applications.is_application(value.get("architecture")) else "trained"


def _kind_of_teacher(value: Any) -> str:
    """Returns the kind of teacher that a value describes, by its keys."""
    if isinstance(value, Settings):
        value = value.model_dump()
    if isinstance(value, dict) and "predictions" in value:
        return "predicted"
    if isinstance(value, dict) and "from" in value:
        return "onnx" if str(value["from"]).endswith(_ONNX_SUFFIX) else "pretrained"
    return _kind_of_training(value)


def _number_of_teachers(value: Any) -> str:
    return "several" if isinstance(value, list | tuple) else "one"


def _check_number_of_teachers(teachers: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(teachers) < 2:
        raise custom_error("must list at least two teachers; give a single one without the list")
    return teachers


TrainedModel = Annotated[
    Annotated[ModelSettings, Tag("trained")]
    | Annotated[FineTunedModel, Tag("fine_tuned")]
    | Annotated[ContinuedModel, Tag("continued")],
    Discriminator(_kind_of_training),
]
Teacher = Annotated[
    Annotated[ModelSettings, Tag("trained")]
    | Annotated[FineTunedModel, Tag("fine_tuned")]
    | Annotated[PretrainedTeacher, Tag("pretrained")]
    | Annotated[OnnxTeacher, Tag("onnx")]
    | Annotated[PredictedTeacher, Tag("predicted")],
    Discriminator(_kind_of_teacher),
]
TeacherSettings = Annotated[
    Annotated[Teacher, Tag("one")]
    | Annotated[
        tuple[Teacher, ...],
        Field(strict=False),
        AfterValidator(_check_number_of_teachers),
        Tag("several"),
    ],
    Discriminator(_number_of_teachers),
]


class TeacherImport(Settings):
    """The import of a pretrained teacher.

    Attributes:
      teacher: The model.
      image: The size of the images to come.
      file_fingerprint: Changes nothing but the cache's key, when the teacher's content has changed.
    """

    teacher: PretrainedTeacher
    image: ImageSettings
    file_fingerprint: str = ""


class PredictionsImport(Settings):
    """The import of what an outside teacher predicts for every example.

    Attributes:
      teacher: Who predicts.
      image: The size of the images to come.
      file_fingerprint: As in `TeacherImport`.
    """

    teacher: OutsideTeacher
    image: ImageSettings
    file_fingerprint: str = ""
