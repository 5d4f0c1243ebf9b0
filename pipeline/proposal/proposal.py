"""From what was found to a configuration: each choice in one place, with the reason for a reader."""

import dataclasses
import math
import re
import statistics
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from components.errors import first_few
from components.example_gen.source import SourceSettings
from components.example_gen.spans.pattern import holds_span
from components.example_gen.split_names import split_of
from components.example_gen.splitting import SplitFractions
from pipeline.proposal.survey import Look, Survey

_SMALL_SIDE = 64  # Images up to this size are taken as they are.
_LARGEST_SIDE = 112  # More pixels make a laptop slow sooner than they make a model better.
_SQUARE = (0.8, 1.25)  # Aspect ratios that a square does justice to.
_SAME_ASPECT = 1.1
_UNNOTICED = 1.05  # A change of the aspect ratio that nobody sees.
_MOST = 0.9
_IMBALANCE = 3
_MOST_GUESSED = 0.99  # Beyond this share of one class, hundredths are too coarse.
_SEEN_IMAGES = 100_000  # In a training, as far as the bounds on the epochs allow.
_EPOCHS = (5, 60)
_FEW_IMAGES = 1000
ENOUGH_IMAGES = 30  # For each split to have some, but by a chance of 1 in 400.
FRACTIONS_OF_FEW = SplitFractions(train=0.6, validation=0.2, test=0.2).model_dump()
_COLUMNS = 100
_SAY_NOTHING = ("", "labels", "metadata")


@dataclasses.dataclass(frozen=True)
class Section:
    """A key of the configuration, its value, and what to say about it."""

    key: str
    value: Any
    comment: str


def choose_fractions(survey: Survey) -> dict[str, float]:
    """Chooses the shares of the splits: of few images, more are needed to tell good models from bad ones."""
    images = sum(survey.count(split) for split in survey.classes)
    return FRACTIONS_OF_FEW if images < _FEW_IMAGES else SplitFractions().model_dump()


def find_obstacle(survey: Survey) -> str | None:
    """Says at what a run would stop, and what to do: so many images that were looked at cannot be used."""
    limit = SourceSettings.model_fields["max_corrupt_fraction"].default
    looked_at = len(survey.broken) + len(survey.sample)
    if len(survey.broken) <= limit * looked_at:
        return None
    return (
        f"{len(survey.broken)} of the {looked_at} images that were looked at cannot be used, and a run stops "
        f"where more than {limit:.0%} of all cannot: repair or remove {first_few(survey.broken)}, or raise "
        "data.max_corrupt_fraction"
    )


def propose(survey: Survey, *, name: str, data: Mapping[str, Any]) -> list[Section]:
    """Proposes a configuration that runs as it is, unless `find_obstacle` finds one.

    Args:
      survey: What was found.
      name: Of the experiment.
      data: The section `data`.
    """
    image = _choose_image(survey.sample)
    side = min(image["height"], image["width"])
    classes = len(survey.classes["train"])
    teacher, student = _choose_architectures(side, channels=image["channels"], classes=classes)
    recipe = _choose_recipe(survey.count("train"))
    sections = [
        Section("name", name, ""),
        Section("data", dict(data), _describe_data(survey)),
        Section("image", image, _describe_image(image, survey.sample)),
        Section(
            "teacher",
            {"architecture": teacher, **recipe},
            "The large model. The fewer the images, the more often it sees them. If it is not good enough, "
            "start from a pretrained one: see 'A fine-tuned teacher' in docs/configuration.md.",
        ),
        Section(
            "student",
            {"architecture": student, **recipe},
            "The small model, trained with and without the teacher, and compared.",
        ),
        Section(
            "distillations",
            [{"name": "distilled", "method": "kd", "temperature": 2.0, "student_loss_weight": 0.1}],
            "The student learns a tenth from the labels, the rest from the teacher's probabilities at this "
            "temperature. Several entries, of other settings or methods, are compared in one run.",
        ),
    ]
    if is_imbalanced(survey.classes["train"]):
        sections.append(
            Section("class_weights", "balanced", "Rare classes count as much as frequent ones in the losses.")
        )
    return [
        *sections,
        Section("hardware", {"precision": "auto"}, "Computes in bfloat16 where the machine does."),
        _choose_evaluation(survey.classes["test"]),
    ]


def to_yaml(sections: Iterable[Section], *, title: Sequence[str]) -> str:
    """Writes a proposal as a commented YAML file.

    Args:
      sections: Its keys.
      title: The lines of the comment at its beginning.
    """
    lines = [f"# {line}".rstrip() for line in title]
    for section in sections:
        if section.comment:
            lines += [
                "",
                *textwrap.wrap(section.comment, _COLUMNS, initial_indent="# ", subsequent_indent="# "),
            ]
        if isinstance(section.value, list):
            lines += [f"{section.key}:", *(f"  - {_flow(item)}" for item in section.value)]
        else:
            lines.append(f"{section.key}: {_flow(section.value)}")
    return "\n".join(lines) + "\n"


def choose_name(path: str) -> str:
    """Makes the name of an experiment of where its images lie, or of what they are called."""
    path = re.sub(r"(:\d[\d.]*|\.\w+)$", "", path)  # A version, or a suffix.
    parts = [part for part in path.split("/") if part not in _SAY_NOTHING and not split_of(part)]
    named = [part for part in parts if not holds_span(part)]
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", named[-1] if named else "").strip("_-")
    return name or "images"


def is_imbalanced(classes: Mapping[str, int]) -> bool:
    """Tells whether the most frequent class has so many more images than the rarest that it matters."""
    counts = [count for count in classes.values() if count]
    return bool(counts) and max(counts) > _IMBALANCE * min(counts)


def describe_sizes(sample: Sequence[Look]) -> str:
    """Says how large images are, height first."""
    sizes = {(look.height, look.width) for look in sample}
    if len(sizes) == 1:
        ((height, width),) = sizes
        return f"all {height}x{width}"
    heights, widths = zip(*((look.height, look.width) for look in sample), strict=True)
    return (
        f"{min(heights)}x{min(widths)} to {max(heights)}x{max(widths)}, "
        f"median {_median(heights)}x{_median(widths)}"
    )


def _choose_image(sample: Sequence[Look]) -> dict[str, Any]:
    height, width = _choose_size(sample)
    fitting = [look for look in sample if _alike(look.width / look.height, width / height, _UNNOTICED)]
    image: dict[str, Any] = {"height": height, "width": width, "channels": 1 if is_grey(sample) else 3}
    return image if len(fitting) >= _MOST * len(sample) else image | {"resize": "crop"}


def _choose_size(sample: Sequence[Look]) -> tuple[int, int]:
    height, width = (_median(getattr(look, side) for look in sample) for side in ("height", "width"))
    if max(height, width) <= _SMALL_SIDE and len({(look.height, look.width) for look in sample}) == 1:
        return height, width
    aspects = [look.width / look.height for look in sample]
    aspect = statistics.median(aspects)
    is_same = sum(_alike(each, aspect, _SAME_ASPECT) for each in aspects) >= _MOST * len(aspects)
    if _SQUARE[0] <= aspect <= _SQUARE[1] or not is_same:
        height = width = min(height, width)
    scale = min(1.0, _LARGEST_SIDE / max(height, width))
    return _rounded(height * scale), _rounded(width * scale)


def _choose_architectures(side: int, *, channels: int, classes: int) -> tuple[str, str]:
    """Chooses a teacher and a student that fit images of a size, in pixels of the shorter side."""
    if side <= 16:
        return "digits_teacher", "digits_student"
    if side <= 48:
        return ("mnist_teacher" if channels == 1 else "resnet20"), "mnist_student"
    # The student of the lab has a weight for each pixel and class.
    return "cats_vs_dogs_teacher", "cats_vs_dogs_student" if classes <= 4 else "mnist_student"


def _choose_recipe(images: int) -> dict[str, Any]:
    """Chooses how models are trained: the one place where that is decided."""
    least, most = _EPOCHS
    epochs = round(_SEEN_IMAGES / images)
    batch_size = 16 if images < _FEW_IMAGES else 32 if images < 10 * _FEW_IMAGES else 64
    return {"epochs": min(max(epochs, least), most), "batch_size": batch_size, "learning_rate": 0.001}


def is_grey(sample: Sequence[Look]) -> bool:
    """Tells whether nearly all of some images have no colours."""
    return sum(look.is_grey for look in sample) >= _MOST * len(sample)


def _describe_data(survey: Survey) -> str:
    counts = ", ".join(f"{survey.count(split):,} for {split}" for split in survey.classes)
    return "; ".join(filter(None, (f"Images: {counts}", *survey.notes, find_obstacle(survey)))) + "."


def _describe_image(image: Mapping[str, Any], sample: Sequence[Look]) -> str:
    cropped = " What does not fit is cut off at the sides; pad would keep it." if "resize" in image else ""
    colours = "without colours" if image["channels"] == 1 else "in colour"
    return (
        f"What the models see. The {len(sample)} images that were looked at are {describe_sizes(sample)}, "
        f"{colours}. Larger images are slower.{cropped}"
    )


def _choose_evaluation(classes: Mapping[str, int]) -> Section:
    """Chooses the accuracy of the test images that is asked for: within reach, and beyond guessing."""
    images, most = sum(classes.values()), max(classes.values())
    if most == images:
        return Section(
            "evaluation",
            {"min_accuracy": 0.0},
            "The student is pushed if it is not significantly worse than the same student without a teacher. "
            "No accuracy is asked for: all test images are of one class, and naming it is always right.",
        )
    steps = 100 if most < _MOST_GUESSED * images else 10_000
    return Section(
        "evaluation",
        {"min_accuracy": (steps * most // images + 1) / steps},
        "The student is pushed if it is more accurate than always naming the most frequent class, and "
        "not significantly worse than the same student without a teacher.",
    )


def _alike(one: float, other: float, factor: float) -> bool:
    return 1 / factor <= one / other <= factor


def _median(values: Iterable[int]) -> int:
    return round(statistics.median(values))


def _rounded(side: float) -> int:
    """Rounds a side to a multiple of 16, or of 8 where it is small."""
    unit = 8 if side < _SMALL_SIDE else 16
    return max(unit, round(side / unit) * unit)


def _flow(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf)
    return text.removesuffix("...\n").strip()
