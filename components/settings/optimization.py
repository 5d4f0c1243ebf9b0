"""How the weights of a model are moved: by which optimizer, and at which learning rate."""

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field

from components.settings.base import (
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Settings,
    custom_error,
    keys,
)

_ONE_CYCLE_RISE = 0.3  # As a share of the training.


class Adam(Settings):
    """Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, https://arxiv.org/abs/1412.6980."""

    name: Literal["adam"]


class AdamW(Settings):
    """Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019, https://arxiv.org/abs/1711.05101.

    Attributes:
      weight_decay: Share of each weight, times the learning rate, that a step takes away.
    """

    name: Literal["adamw"]
    weight_decay: PositiveFloat = 0.004


class Sgd(Settings):
    """Stochastic gradient descent.

    Attributes:
      momentum: Share of a step that is repeated in the next one.
      nesterov: Whether the gradient counts once more, as in Nesterov's momentum.
      weight_decay: As of AdamW; the momentum has no part in it.
    """

    name: Literal["sgd"]
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = True
    weight_decay: NonNegativeFloat = 0.0


class Schedule(Settings):
    """The learning rate over a training. At first it may rise linearly from 0 to the one that is configured.

    Attributes:
      warmup_epochs: For how long.
    """

    warmup_epochs: NonNegativeFloat | None = 0.0

    def warmup(self, epochs: int) -> float:
        """Returns for how many epochs of a training the rate rises."""
        return self.warmup_epochs or 0.0

    def find_problem(self, epochs: int) -> str | None:
        """Says why a training cannot follow this schedule, or returns None if it can.

        Args:
          epochs: Of the training.
        """
        if self.warmup(epochs) < epochs:
            return None
        return f"{self.warmup_epochs:g} warmup_epochs leave nothing of the {epochs} epochs; take fewer"


class Constant(Schedule):
    """After that, it stays."""

    name: Literal["constant"]


class Cosine(Schedule):
    """After that, it falls to 0 along half a cosine.

    Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017,
    https://arxiv.org/abs/1608.03983, without restarts.
    """

    name: Literal["cosine"]


class OneCycle(Schedule):
    """After that, it falls linearly to 0.

    Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates",
    2018, https://arxiv.org/abs/1708.07120.

    Attributes:
      warmup_epochs: None is 30 % of the training.
    """

    name: Literal["one_cycle"]
    warmup_epochs: NonNegativeFloat | None = None

    def warmup(self, epochs: int) -> float:
        """Returns for how many epochs of a training the rate rises."""
        return _ONE_CYCLE_RISE * epochs if self.warmup_epochs is None else self.warmup_epochs


class Steps(Schedule):
    """After that, it is multiplied by a factor at each of some milestones.

    Attributes:
      milestones: The numbers of the epochs, from 1, at whose end that happens.
      factor: What it is multiplied by.
    """

    name: Literal["steps"]
    milestones: Annotated[tuple[PositiveInt, ...], Field(strict=False, min_length=1)]
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1

    def find_problem(self, epochs: int) -> str | None:
        """Says why a training cannot follow this schedule, or returns None if it can."""
        first, last = self.milestones[0], self.milestones[-1]
        if list(self.milestones) != sorted(set(self.milestones)):
            return f"the milestones {', '.join(map(str, self.milestones))} must rise from each to the next"
        if last >= epochs:
            return f"after the milestone {last} nothing is left of the {epochs} epochs; leave it out"
        if first < self.warmup(epochs):
            return f"the milestone {first} lies within the {self.warmup_epochs:g} warmup_epochs; take fewer"
        return super().find_problem(epochs)


def _by_name(kinds: Any) -> BeforeValidator:
    """Lets a name alone stand for one of some kinds, and tells whose option it is that another kind lacks."""
    options = {get_args(kind.model_fields["name"].annotation)[0]: keys(kind) for kind in get_args(kinds)}

    def read(value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        name = value.get("name") if isinstance(value, dict) else None
        if isinstance(name, str) and name in options:
            for key in value:
                owners = [owner for owner, known in options.items() if key in known]
                if owners and name not in owners:
                    raise custom_error(f"{key} belongs to {' and '.join(owners)}, not to {name}")
        return value

    return BeforeValidator(read)


_Optimizer = Adam | AdamW | Sgd
_Schedule = Constant | Cosine | OneCycle | Steps

OptimizerSettings = Annotated[_Optimizer, Field(discriminator="name"), _by_name(_Optimizer)]
ScheduleSettings = Annotated[_Schedule, Field(discriminator="name"), _by_name(_Schedule)]
