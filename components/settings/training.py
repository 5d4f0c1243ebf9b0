"""What all trainings of an experiment share, and all that one of them is made of."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from components.settings.base import (
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    Settings,
    custom_error,
)
from components.settings.models import ImageSettings, TrainedModel
from components.settings.retraining import Keeping, WarmStart


def _to_class_weights(value: Any) -> Any:
    """Refuses in one sentence all that is not `balanced` or positive weights by class name."""
    if value == "balanced":
        return value
    if not isinstance(value, dict) or not value:
        raise custom_error("must be balanced, or a weight for each of some classes, as in {cat: 2.0}")
    weights = {}
    for name, weight in value.items():
        if not isinstance(name, str | int) or isinstance(name, bool):
            raise custom_error(f"holds the class {name!r}, which is no text; put it in quotes")
        is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not is_number or not 0 < weight < math.inf:
            raise custom_error(f"holds {weight!r} for the class {str(name)!r}; a weight must be above 0")
        weights[str(name)] = float(weight)
    return weights


# `balanced` lets each class count alike; a class that is not named has weight 1.
ClassWeights = Annotated[Literal["balanced"] | dict[str, float], BeforeValidator(_to_class_weights)]


class HardwareSettings(Settings):
    """What training runs on.

    Attributes:
      precision: A Keras dtype policy, or `auto`: `mixed_bfloat16` where the machine that trains computes in
        bfloat16, `float32` elsewhere.
      strategy: `mirrored` spreads each batch over all GPUs of the machine.
    """

    precision: Literal["float32", "mixed_bfloat16", "mixed_float16", "auto"] = "float32"
    strategy: Literal["single", "mirrored"] = "single"


class AugmentSettings(Settings):
    """Random changes to the images of every training, each image for itself; none of them by default.

    Attributes:
      horizontal_flip: Whether every second image, on average, is mirrored.
      shift: By how much of its height and width an image moves at most, in whole pixels and at least by
        one; 0 is not at all. What comes in is the repeated edge.
      crop: Share of an image's area that is left at least when a part of it, of the same proportions, is
        cut out and enlarged to the whole; None leaves it whole.
      padded_crop: Black pixels that are put on each side of an image before a part of its former size is cut
        out of it. He et al., "Deep Residual Learning", 2015, section 4.2, https://arxiv.org/abs/1512.03385.
      colour: By how much brightness, contrast and, of colour images, saturation are scaled at most, up
        or down: 0.2 is between 0.8 and 1.2.
      mixup: Alpha of the distribution Beta(alpha, alpha) of the shares in which two images are mixed; 0
        mixes none. Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018,
        https://arxiv.org/abs/1710.09412.
    """

    horizontal_flip: bool = False
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    crop: Annotated[float, Field(gt=0, lt=1)] | None = None
    padded_crop: NonNegativeInt = 0
    colour: Fraction = 0.0
    mixup: NonNegativeFloat = 0.0

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not any(self.model_dump().values()):
            raise custom_error(f"changes nothing; set one of {', '.join(type(self).model_fields)}")
        return self


class Views(Settings):
    """Versions of each training image, made by random changes, of which each epoch sees one.

    Epoch e, from 0, sees view e mod `number` of every image.

    Attributes:
      number: How many there are of each image.
      seed: Of the changes.
      augment: The changes.
    """

    number: PositiveInt
    seed: int
    augment: AugmentSettings


class TrainingJob(Settings):
    """The training of one model.

    Attributes:
      name: How to call the model in messages.
      model: The architecture or the file, and how it is trained.
      image: The size of the images.
      hardware: What it runs on.
      seed: Decides the initial weights, dropout, the order of the examples and their augmentation.
      labels: Whether the examples to train and to validate on have some.
      class_weights: How much the examples of each class count; None for alike.
      code_fingerprint: Changes nothing but the cache's key, when the architecture's code or file has changed.
      checkpoint_directory: Outlives the machine that trains; None is beside the node's outputs.
      augment: Random changes to the training images, others in each epoch.
      views: Instead of them, views of the training images.
      start: Whose weights it starts from; None is those of the model.
      keeping: Whether a model of an earlier run takes its place; None if there is none of which to ask.
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
    views: Views | None = None
    start: WarmStart | None = None
    keeping: Keeping | None = None

    @property
    def mixes(self) -> bool:
        """Whether training images are mixed with others."""
        augment = self.augment if self.views is None else self.views.augment
        return augment is not None and augment.mixup > 0
