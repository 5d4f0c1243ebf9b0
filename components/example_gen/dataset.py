"""What was ingested: the description beside the examples, and whether they can be used."""

from collections.abc import Sequence
from typing import Any

from components.errors import InputError, first_few
from components.example_gen.shards import Outcome
from components.example_gen.source import NO_LABEL
from components.example_gen.spans.pattern import Span
from components.layout import REFERENCE, UNLABELLED

_NAMED = 5


def describe(
    outcomes: Sequence[Outcome],
    *,
    class_names: Sequence[str],
    notes: Sequence[str] = (),
    spans: Sequence[Span] = (),
) -> dict[str, Any]:
    """Describes a data set as it was written.

    Args:
      outcomes: What became of each shard, in any order.
      class_names: The name of each class, in the order of the labels.
      notes: What of the splits is other than the user may expect.
      spans: Those that were read, the newest last.

    Returns:
      The class names; the notes; the name and the version of each span; and of each split the number of
      examples, and the id and the reason of all that was left out.
    """
    splits: dict[str, Any] = {}
    for outcome in _ordered(outcomes):
        split = splits.setdefault(outcome.split, {"examples": 0, "skipped": []})
        split["examples"] += outcome.examples
        split["skipped"].extend({"id": name, "reason": reason} for name, reason in outcome.skipped)
    return {
        "class_names": list(class_names),
        "notes": list(notes),
        "spans": [{"span": span.name, "version": span.version} for span in spans],
        "splits": splits,
    }


def check(
    outcomes: Sequence[Outcome],
    *,
    splits: Sequence[str],
    max_corrupt_fraction: float,
    labels: bool = True,
    labelled_fraction: float = 1.0,
) -> None:
    """Refuses a data set that cannot be used.

    Args:
      outcomes: What became of each shard.
      splits: The splits that must have examples.
      max_corrupt_fraction: The share of the images of all splits together that may be undecodable, and that
        of the reference images, which are many where the others are few.
      labels: Whether the training and the validation split must be labelled.
      labelled_fraction: The share of the training images whose labels are used.

    Raises:
      InputError: Too many images are corrupt, a split has no examples or lacks labels that are needed, or
        the training split has fewer than two classes.
    """
    reference = [outcome for outcome in outcomes if outcome.split == REFERENCE]
    _check_corrupt([outcome for outcome in outcomes if outcome.split != REFERENCE], max_corrupt_fraction)
    _check_corrupt(reference, max_corrupt_fraction, whose="reference folder")
    counts = dict.fromkeys(splits, 0)
    for outcome in outcomes:
        counts[outcome.split] += outcome.examples
    for split, count in counts.items():
        if not count:
            skipped = [item for each in _ordered(outcomes) if each.split == split for item in each.skipped]
            way_out = _more_images(labelled_fraction if split == "train" else 1.0)
            raise InputError(f"The {split} split has no examples{_first(skipped)}; {way_out}.")
    _check_labels(outcomes, labels=labels)
    if labels:
        _check_classes(outcomes, labelled_fraction)


def describe_absent(
    outcomes: Sequence[Outcome], *, class_names: Sequence[str], labelled_fraction: float
) -> list[str]:
    """Says which classes have no labelled image to train on.

    Args:
      outcomes: What became of each shard.
      class_names: The name of each class, in the order of the labels.
      labelled_fraction: The share of the training images whose labels are used.

    Returns:
      One note, without a full stop; none where each class has such images.
    """
    found = _training_labels(outcomes)
    absent = [name for label, name in enumerate(class_names) if label not in found]
    if not absent:
        return []
    return [
        f"the train split has no labelled image of {first_few(absent, most=_NAMED)} ({len(absent):,} of "
        f"{len(class_names):,} classes); {_more_images(labelled_fraction)}"
    ]


def _check_corrupt(outcomes: Sequence[Outcome], limit: float, *, whose: str = "data set") -> None:
    corrupt = [item for outcome in _ordered(outcomes) for item in outcome.corrupt]
    images = len(corrupt) + sum(outcome.examples for outcome in outcomes)
    if len(corrupt) > limit * images:
        raise InputError(
            f"{len(corrupt)} of the {whose}'s {images} images ({len(corrupt) / images:.1%}) cannot be used, "
            f"more than data.max_corrupt_fraction allows ({limit:.1%}){_first(corrupt)}; repair or "
            "remove them, or raise the limit."
        )


def _check_labels(outcomes: Sequence[Outcome], *, labels: bool) -> None:
    for outcome in outcomes:
        if NO_LABEL not in outcome.labels or outcome.split == UNLABELLED:
            continue
        if outcome.split == "test":
            raise InputError(
                f"The test split has examples without a label (stored as {NO_LABEL}), but models are "
                "measured on it; choose examples that have one."
            )
        if labels:
            raise InputError(
                f"The {outcome.split} split has examples without a label (stored as {NO_LABEL}); label them, "
                "or set data.labels: false to distil from a teacher alone."
            )


def _check_classes(outcomes: Sequence[Outcome], labelled_fraction: float) -> None:
    if len(_training_labels(outcomes)) < 2:
        raise InputError(
            "All examples of the train split are of one class, and a classifier needs at least two; "
            f"{_more_images(labelled_fraction)}."
        )


def _training_labels(outcomes: Sequence[Outcome]) -> set[int]:
    return {label for outcome in outcomes if outcome.split == "train" for label in outcome.labels}


def _more_images(labelled_fraction: float) -> str:
    """Says how a split gets more labelled images."""
    return "add images" if labelled_fraction == 1 else "add images, or raise data.labelled_fraction"


def _ordered(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return sorted(outcomes, key=lambda outcome: outcome.path)


def _first(left_out: Sequence[tuple[str, str]]) -> str:
    """Names the first few that were left out."""
    if not left_out:
        return ""
    return f": {first_few([f'{name} ({reason})' for name, reason in left_out], most=_NAMED)}"
