"""What the candidate student must reach, and where it goes if it does."""

import collections
import dataclasses
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from components.errors import suggest
from components.metrics import BY_NAME
from components.settings.base import Folder, Fraction, NonNegativeInt, PositiveInt, Settings, custom_error
from components.storage.uri import OBJECT_STORES, is_remote


def _to_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _known_metric(name: str) -> str:
    if name not in BY_NAME:
        raise custom_error(f"must be one of {', '.join(BY_NAME)}{suggest(name, BY_NAME)}")
    return name


QualityMetric = Annotated[str, AfterValidator(_known_metric)]


class _Threshold(Settings):
    """Bounds on a number, on all test images or on those of `slice`: `FEATURE=VALUE` or `class=NAME`."""

    min: float | None = None
    max: float | None = None
    slice: str | None = None

    @field_validator("slice")
    @classmethod
    def _feature_and_value(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"[^=]+=.+", name):
            raise custom_error("must be FEATURE=VALUE, as in image_size=64-127, or class=NAME")
        return name


class ValueThreshold(_Threshold):
    """Bounds on a metric of the candidate."""

    metric: QualityMetric

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.min is None and self.max is None:
            raise custom_error("asks for nothing; give min or max")
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
            raise custom_error("asks for nothing; give min, max or significant")
        return self


class EvaluationSettings(Settings):
    """What the candidate student must reach on the test split to be blessed.

    `max_accuracy_drop` bounds what it may lose against the incumbent, the student that ships.
    `max_accuracy_drop_on_reference` does so on the reference images; without it, both bounds are the same.
    `on_incomparable` decides where that one cannot be compared with: `ship` leaves it to the other
    conditions, `hold` blesses nothing.
    `slices` names features of the examples, or `image_size`: everything is measured for each of their
    values too.
    """

    min_accuracy: Fraction = 0.0
    max_accuracy_drop: Fraction = 0.01
    max_accuracy_drop_on_reference: Fraction | None = None
    on_incomparable: Literal["ship", "hold"] = "ship"
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
                raise custom_error("needs no mention of the classes: they are measured in any case")
            if slices.count(name) > 1:
                raise custom_error(f"names {name!r} twice; keep one")
        return slices

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for threshold in (*self.values, *self.changes):
            feature = (threshold.slice or "class").partition("=")[0]
            if feature not in ("class", *self.slices):
                raise custom_error(
                    f"a threshold is set on the slice {threshold.slice!r}, but {feature!r} is not among the "
                    "slices; add it there"
                )
        for subject, limits in self._limits().items():
            least = max(
                (limit for limit in limits if limit.is_lower),
                key=lambda limit: (limit.value, limit.is_open),
                default=None,
            )
            most = min(
                (limit for limit in limits if not limit.is_lower),
                key=lambda limit: (limit.value, not limit.is_open),
                default=None,
            )
            if least and most and least.excludes(most):
                raise custom_error(f"the thresholds on {subject} contradict each other: {least} and {most}")
        return self

    def _limits(self) -> dict[str, list["_Limit"]]:
        """Returns the limits of each subject; what must be significantly better must be better than 0."""
        limits = collections.defaultdict(list, accuracy=_between(self.min_accuracy, 1))
        changes = list(self.changes)
        if self.against_scratch == "better":
            changes.append(ChangeThreshold(baseline="scratch", significant="better"))
        if self.max_accuracy_drop < 1:
            changes.append(ChangeThreshold(baseline="incumbent", min=-self.max_accuracy_drop))
        for value in self.values:
            limits[_subject(value.metric, value.slice)] += _between(value.min, value.max)
        for change in changes:
            subject = _subject(f"{change.metric} against {change.baseline}", change.slice)
            limits[subject] += _between(change.min, change.max)
            if change.significant == "better":
                is_lower = BY_NAME[change.metric].better == "high"
                limits[subject].append(_Limit(0, is_lower=is_lower, is_open=True))
        return limits


@dataclasses.dataclass(frozen=True)
class _Limit:
    """A lower or an upper limit of a number; if it is open, the value itself is beyond it."""

    value: float
    is_lower: bool
    is_open: bool = False

    def __str__(self) -> str:
        words = ("more than", "less than") if self.is_open else ("at least", "at most")
        return f"{words[0] if self.is_lower else words[1]} {self.value:g}"

    def excludes(self, upper: "_Limit") -> bool:
        """Returns whether nothing lies between this lower limit and an upper one."""
        if self.value == upper.value:
            return self.is_open or upper.is_open
        return self.value > upper.value


def _between(least: float | None, most: float | None) -> list[_Limit]:
    limits = []
    if least is not None:
        limits.append(_Limit(least, is_lower=True))
    if most is not None:
        limits.append(_Limit(most, is_lower=False))
    return limits


def _subject(metric: str, slice_name: str | None) -> str:
    return f"{metric} on {slice_name}" if slice_name else metric


class PushSettings(Settings):
    """Where a blessed student goes.

    Attributes:
      directory: Of the versions; None is inside the workspace.
      keep: How many versions stay there beside the one that ships and the one that it would fall back to;
        None removes none.
    """

    directory: Folder | None = None
    keep: NonNegativeInt | None = None

    @model_validator(mode="after")
    def _can_be_written(self) -> Self:
        directory = self.directory or ""
        if directory.startswith("file://"):
            raise custom_error(f"directory: got {directory!r}; give the path alone, without file://")
        if is_remote(directory) and not directory.startswith(tuple(f"{each}://" for each in OBJECT_STORES)):
            raise custom_error(
                f"directory: {directory!r} is in a store that is not known; give a directory or a URI of "
                f"{', '.join(OBJECT_STORES)}, such as s3://bucket/students"
            )
        return self
