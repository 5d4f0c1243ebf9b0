"""The configuration of an experiment: read once, checked once, frozen."""

import pathlib
import re
from collections.abc import Hashable, Iterable, Iterator
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from components.errors import InputError
from components.settings import (
    AugmentSettings,
    ClassWeights,
    DataSettings,
    DistillationSettings,
    DkdSettings,
    EvaluationSettings,
    HardwareSettings,
    HintSettings,
    ImageSettings,
    ModelSettings,
    PushSettings,
    Settings,
    TeacherSettings,
)
from pipeline.kubeflow.settings import KubeflowSettings
from pipeline.nodes import node_ids, teacher_ids


class ConfigError(InputError):
    """The configuration cannot be used. Each line of the message names one key."""


class Config(Settings):
    """One experiment: its data, its models, its distillations, and what they must reach."""

    name: str
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 42
    data: DataSettings
    image: ImageSettings
    teacher: TeacherSettings
    student: ModelSettings
    distillations: tuple[DistillationSettings, ...]
    class_weights: ClassWeights | None = None
    hardware: HardwareSettings = HardwareSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    push: PushSettings = PushSettings()
    kubeflow: KubeflowSettings = KubeflowSettings()
    teacher_predictions: Literal["stored", "online"] = "stored"
    augment: AugmentSettings | None = None

    @property
    def stores_predictions(self) -> bool:
        """Whether any distillation reads stored predictions."""
        return any(self.reads_predictions(distillation) for distillation in self.distillations)

    def reads_predictions(self, distillation: DistillationSettings) -> bool:
        """Tells whether a distillation reads stored predictions, be it only in place of labels."""
        return not self.data.labels or not self.asks_teacher(distillation)

    def asks_teacher(self, distillation: DistillationSettings) -> bool:
        """Tells whether the teacher runs in the training steps of a distillation."""
        return self.teacher_predictions == "online" or isinstance(distillation, HintSettings)

    @field_validator("name")
    @classmethod
    def _usable_name(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
            raise PydanticCustomError("value", "must hold only letters, digits, '_' and '-'")
        return name

    @field_validator("distillations", mode="before")
    @classmethod
    def _freeze(cls, distillations: Any) -> Any:
        if not isinstance(distillations, list | tuple) or not distillations:
            raise PydanticCustomError("list", "must be a list of at least one distillation")
        return tuple(distillations)

    @model_validator(mode="after")
    def _distinct_names(self) -> Self:
        names = [distillation.name.lower().replace("_", "-") for distillation in self.distillations]
        for name in names:
            if names.count(name) > 1:
                raise PydanticCustomError(
                    "value",
                    "distillations: {given} must differ in more than '_', '-' and capitals",
                    {"given": ", ".join(repr(d.name) for d in self.distillations)},
                )
        return self

    @model_validator(mode="after")
    def _augmentation_is_taught(self) -> Self:
        if self.augment and self.teacher_predictions == "stored":
            raise PydanticCustomError(
                "value",
                "augment: the stored predictions are not those of augmented images; set "
                "teacher_predictions: online, or remove augment",
            )
        for distillation in self.distillations:
            if self.augment and self.augment.mixup and isinstance(distillation, DkdSettings):
                raise PydanticCustomError(
                    "value",
                    "augment.mixup: a mixed image has two labels, but method dkd of {name} needs one; choose "
                    "another method, or remove mixup",
                    {"name": repr(distillation.name)},
                )
        return self

    @model_validator(mode="after")
    def _possible_without_labels(self) -> Self:
        problem = None if self.data.labels else next(_needs_of_labels(self), None)
        if problem:
            raise PydanticCustomError("value", "{problem}", {"problem": problem})
        return self

    @model_validator(mode="after")
    def _known_nodes(self) -> Self:
        known = node_ids(self)
        for node in self.kubeflow.nodes:
            if node not in known:
                raise PydanticCustomError(
                    "value",
                    "kubeflow.nodes: there is no node {given}; allowed: {known}",
                    {"given": repr(node), "known": ", ".join(known)},
                )
        return self


def _needs_of_labels(config: Config) -> Iterator[str]:
    """Says what in a configuration needs labels in the training split."""
    missing = "but data.labels is false"
    if any(isinstance(teacher, ModelSettings) for teacher in teacher_ids(config).values()):
        yield (
            f"teacher: is to be trained, {missing}; bring a trained one along: "
            "teacher: {from: PATH} of a .keras file or a SavedModel"
        )
    for index, distillation in enumerate(config.distillations):
        key, weight = f"distillations.{index}", distillation.student_loss_weight
        if isinstance(distillation, DkdSettings):
            yield f"{key}.method: got 'dkd', which needs labels, {missing}; take another, such as kd"
        if weight:
            yield f"{key}.student_loss_weight: got {weight:g}, {missing}; set it to 0"
    smoothing = config.student.label_smoothing
    if smoothing:
        yield f"student.label_smoothing: got {smoothing:g}, {missing}; leave it out"
    if config.class_weights is not None:
        yield f"class_weights: needs labels, {missing}; leave it out"
    of_scratch = "compares with a student trained from scratch, which needs labels"
    if config.evaluation.against_scratch == "better":
        yield f"evaluation.against_scratch: got 'better', which {of_scratch}, {missing}; leave it out"
    if config.evaluation.min_gap_closed is not None:
        yield f"evaluation.min_gap_closed: {of_scratch}, {missing}; leave it out"
    for index, change in enumerate(config.evaluation.changes):
        if change.baseline == "scratch":
            yield (
                f"evaluation.changes.{index}.baseline: got 'scratch', which {of_scratch}, {missing}; take "
                "teacher or incumbent"
            )


def load_config(path: pathlib.Path, *, overrides: Iterable[str] = ()) -> Config:
    """Reads a configuration file.

    Args:
      path: A YAML file.
      overrides: Assignments `a.b=value`; a list is entered by index, as in
        `distillations.0.temperature=3`. The value is read as YAML.

    Returns:
      The checked configuration.

    Raises:
      ConfigError: The file cannot be read, or says something impossible.
    """
    tree = _read_yaml(path)
    for override in overrides:
        _assign(tree, override)
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {_describe(detail)}" for detail in error.errors())) from None


class _Loader(yaml.SafeLoader):
    """YAML as people write it: `1e-3` is a number, and no key is given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # PyYAML refuses it.
            if key.value in seen:
                line = key.start_mark.line + 1
                raise ConfigError(f"line {line}: the key {key.value!r} is given twice; keep one of them")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def _read_yaml(path: pathlib.Path) -> dict[str, Any]:
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; give the path of a YAML configuration") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a text file ({error})") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{path}: is not valid YAML{where}: {getattr(error, 'problem', error)}") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: holds no configuration; expected keys such as 'name' and 'data'")
    return tree


def _assign(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override!r}: expected KEY=VALUE, as in distillations.0.temperature=3")
    try:
        value = yaml.load(text, _Loader)
    except yaml.YAMLError:
        raise ConfigError(f"--set {key}: {text!r} is not a YAML value; quote it") from None
    *parents, last = key.split(".")
    node: Any = tree
    for part in parents:
        node = _enter(node, part, key)
    if isinstance(node, list):
        node[_index(node, last, key)] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        raise ConfigError(f"--set {key}: {'.'.join(parents)!r} is a single value and has no {last!r}")


def _enter(node: Any, part: str, key: str) -> Any:
    if isinstance(node, list):
        return node[_index(node, part, key)]
    if not isinstance(node, dict):
        raise ConfigError(f"--set {key}: nothing lies below {part!r}")
    if node.get(part) is None:
        node[part] = {}
    return node[part]


def _index(node: list[Any], part: str, key: str) -> int:
    if not part.isdecimal() or int(part) >= len(node):
        raise ConfigError(f"--set {key}: {part!r} is no index of this list; allowed: 0 to {len(node) - 1}")
    return int(part)


def _describe(detail: ErrorDetails) -> str:
    """Puts one validation error into a line: the key, what was given, what is allowed."""
    key = ".".join(str(part) for part in _without_tag(detail["loc"]))
    message = detail["msg"].replace("Input should be", "must be")
    if detail["type"] in ("model_type", "model_attributes_type"):
        message = "must be a mapping of keys to values"
    if detail["type"] == "missing":
        return f"{key}: is missing; add it"
    if detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return _describe_tag(detail, key=key)
    if detail["type"] == "unknown_key" or isinstance(detail["input"], dict):
        return f"{key}: {message}" if key else message
    return f"{key}: got {detail['input']!r}; {message}"


def _without_tag(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Leaves out the tags of unions, such as `tfds`, which are no keys."""
    tags: tuple[int, ...] = {"data": (1,), "distillations": (2,), "teacher": (1, 3)}.get(
        str(location[0]) if location else "", ()
    )
    return tuple(part for position, part in enumerate(location) if position not in tags)


def _describe_tag(detail: ErrorDetails, *, key: str) -> str:
    context = detail["ctx"]
    key = f"{key}.{context['discriminator']}".replace("'", "")
    if "tag" not in context:
        return f"{key}: is missing; add it"
    allowed = context["expected_tags"].replace("'", "")
    return f"{key}: got {context['tag']!r}; allowed: {allowed}"
