"""From settings to an optimizer and the learning rate of each step."""

from collections.abc import Iterable
from typing import Any

import keras
from keras import ops
from keras.optimizers import schedules

from components.settings.models import TrainingSettings
from components.settings.optimization import Constant, Cosine, OneCycle, Steps

_OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "sgd": keras.optimizers.SGD,
}
_NOT_DECAYED = ("bias", "beta", "gamma")


def make_optimizer(
    settings: TrainingSettings,
    *,
    schedule: schedules.LearningRateSchedule,
    weights: Iterable[keras.Variable],
    devices: int = 1,
) -> keras.optimizers.Optimizer:
    """Makes the optimizer of a training.

    Weight decay leaves out biases, and the scales and shifts of normalisation.

    Args:
      settings: Of the training.
      schedule: The learning rate of each step.
      weights: All that are trained.
      devices: Over how many a batch is spread. Each clips its own share of the gradients, before they are
        added up.
    """
    options = settings.optimizer.model_dump(exclude={"name"})
    optimizer = _OPTIMIZERS[settings.optimizer.name](
        schedule,
        global_clipnorm=settings.clip_norm and settings.clip_norm / devices,
        use_ema=settings.ema_decay is not None,
        ema_momentum=settings.ema_decay or 0.0,
        **{key: value for key, value in options.items() if value},  # Keras's defaults are 0, False and None.
    )
    optimizer.exclude_from_weight_decay([weight for weight in weights if not _is_decayed(weight)])
    return optimizer


def make_schedule(settings: TrainingSettings, *, steps_per_epoch: int) -> schedules.LearningRateSchedule:
    """Makes the schedule of a training: a function from the number of a step, from 0, to its learning rate.

    Args:
      settings: Of the training.
      steps_per_epoch: How many steps an epoch has.
    """
    rate, schedule = settings.learning_rate, settings.schedule
    rise = round(schedule.warmup(settings.epochs) * steps_per_epoch)
    rest = max(1, settings.epochs * steps_per_epoch - rise)
    match schedule:
        case Constant():
            then = schedules.PolynomialDecay(rate, rest, end_learning_rate=rate)
        case Cosine():
            then = schedules.CosineDecay(rate, rest)
        case OneCycle():
            then = schedules.PolynomialDecay(rate, rest, end_learning_rate=0.0)
        case Steps(milestones=milestones, factor=factor):
            # Keras keeps a value for the step of its boundary too.
            boundaries = [milestone * steps_per_epoch - rise - 1 for milestone in milestones]
            then = schedules.PiecewiseConstantDecay(
                boundaries, [rate * factor**passed for passed in range(len(milestones) + 1)]
            )
    return _Risen(then, rate=rate, steps=rise) if rise else then


class _Risen(schedules.LearningRateSchedule):
    """A schedule that begins after the learning rate has risen linearly from 0."""

    def __init__(self, then: schedules.LearningRateSchedule, *, rate: float, steps: int) -> None:
        self._rise = schedules.PolynomialDecay(0.0, steps, end_learning_rate=rate)
        self._then = then
        self._steps = steps

    def __call__(self, step: Any) -> Any:
        return ops.where(step < self._steps, self._rise(step), self._then(step - self._steps))


def _is_decayed(weight: keras.Variable) -> bool:
    return len(weight.shape) > 1 and weight.name not in _NOT_DECAYED
