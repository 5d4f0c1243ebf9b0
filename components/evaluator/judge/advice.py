"""What to change where a student falls short of its teacher.

Advice comes from training and validation alone: whoever followed the test split's would be tuning on it.
"""

import dataclasses
from collections.abc import Collection, Mapping
from typing import NamedTuple

from components.evaluator.judge.evidence import SCRATCH, TEACHER
from components.report.summary import History
from components.report.wording import percent

# Shares of the images: less than a point is not worth an advice.
_NOTABLE = 0.01
_MUCH = 0.05
# The share by which the loss still falls in the last epoch of a training that is not over.
_FALLING = 0.02
# The share of the way from guessing to no mistake at all of which nothing is learnt, and of which much is.
_NOTHING_LEARNT = 0.1
_MUCH_LEARNT = 0.5


class Reached(NamedTuple):
    """The accuracies of a model in its best epoch."""

    training: float
    validation: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of the trainings of a run.

    Attributes:
      student: What the candidate has reached.
      teacher: What its teacher has reached.
      scratch: What the student trained from scratch has reached; None without one.
      is_unfinished: Whether the candidate was still getting better when its training ended.
      levers: See `advise`.
    """

    student: Reached
    teacher: Reached
    scratch: Reached | None
    is_unfinished: bool
    levers: Collection[str]


def advise(
    histories: Mapping[str, History], *, candidate: str, levers: Collection[str], guessing: float
) -> tuple[str, ...]:
    """Says what to change, by the keys of the configuration; nothing where no rule applies.

    Args:
      histories: The training of each model; without epochs for a teacher that was not trained in this run.
      candidate: The name of the distilled student.
      levers: Which of the keys `data.unlabelled`, `augment` and `student.architecture` the configuration
        leaves to be given, or to be given another value.
      guessing: The accuracy of who always names the most frequent class.
    """
    facts = gather_facts(histories, candidate=candidate, levers=levers)
    if facts is None:
        return ()
    stuck = {
        name: advice
        for name, history in histories.items()
        if name != TEACHER
        and (advice := ask_for_shorter_steps(name, history, teacher=facts.teacher, guessing=guessing))
    }
    return (*stuck.values(), *(() if candidate in stuck else _advise_candidate(facts)))


def _advise_candidate(facts: Facts) -> tuple[str, ...]:
    """Says what to change for a candidate that has learnt something."""
    better_teacher = ask_for_a_better_teacher(facts)
    if better_teacher:
        return (better_teacher,)
    if facts.teacher.validation - facts.student.validation < _NOTABLE:
        return ()
    rules = (ask_for_more_epochs, ask_for_labels, ask_for_more_images, ask_for_a_larger_student)
    return tuple(advice for rule in rules if (advice := rule(facts)))


def ask_for_shorter_steps(name: str, history: History, *, teacher: Reached, guessing: float) -> str | None:
    """Applies where a student, distilled or not, is no better than guessing, and the teacher is much better.

    Args:
      name: Of the student.
      history: Its training.
      teacher: What the teacher has reached.
      guessing: See `advise`.
    """
    reached, room = _reached(history).validation, 1 - guessing
    at_chance = min(2 * guessing, guessing + _NOTHING_LEARNT * room)
    if reached >= at_chance or teacher.validation < guessing + _MUCH_LEARNT * room:
        return None
    return (
        f"On the validation split {name!r} stayed at chance ({percent(reached)}) and the teacher did not "
        f"({percent(teacher.validation)}): it seems that its steps were too long, and left it with units "
        "that are 0 for every image. Set student.clip_norm: 1.0, or lower student.learning_rate, the more "
        "the higher its temperature."
    )


def ask_for_a_better_teacher(facts: Facts) -> str | None:
    """Applies where scratch is as good as the teacher."""
    if facts.scratch is None or facts.scratch.validation < facts.teacher.validation:
        return None
    return (
        f"On the validation split the teacher ({percent(facts.teacher.validation)}) is no better than "
        f"scratch ({percent(facts.scratch.validation)}): there is nothing to learn from it. Get a better "
        "teacher first, by more teacher.epochs or a larger teacher.architecture."
    )


def ask_for_more_epochs(facts: Facts) -> str | None:
    """Applies where the training ended too early."""
    if not facts.is_unfinished:
        return None
    return (
        "The student was still getting better when its training ended: raise student.epochs, or try a higher "
        "student.learning_rate."
    )


def ask_for_labels(facts: Facts) -> str | None:
    """Applies where the student would have been better off without its teacher."""
    if facts.scratch is None or facts.scratch.validation - facts.student.validation < _NOTABLE:
        return None
    return (
        f"On the validation split the student ({percent(facts.student.validation)}) is worse than scratch "
        f"({percent(facts.scratch.validation)}): raise its student_loss_weight, or lower its temperature, if "
        "it has one; a list of values tries several."
    )


def ask_for_more_images(facts: Facts) -> str | None:
    """Applies where the student has learnt its images by heart."""
    if facts.student.training - facts.student.validation < _MUCH:
        return None
    more = "distil from more images"
    if "data.unlabelled" in facts.levers:
        more += ", which need no labels (data.unlabelled)"
    if "augment" in facts.levers:
        more += ", or with augment and teacher_predictions: {views: 8}"
    return (
        f"The student does better on its training images ({percent(facts.student.training)}) than on others "
        f"({percent(facts.student.validation)}): {more}."
    )


def ask_for_a_larger_student(facts: Facts) -> str | None:
    """Applies where students have done learning, and fall short on the very images that they learnt."""
    students = [facts.student, *([facts.scratch] if facts.scratch else [])]
    is_small = all(facts.teacher.training - each.training >= _NOTABLE for each in students)
    if facts.is_unfinished or not is_small:
        return None
    larger = "student.architecture" if "student.architecture" in facts.levers else "student"
    return (
        "The student has done learning and falls short of its teacher on the training images too "
        f"({percent(facts.student.training)} against {percent(facts.teacher.training)}): take a larger "
        f"{larger}."
    )


def gather_facts(
    histories: Mapping[str, History], *, candidate: str, levers: Collection[str]
) -> Facts | None:
    """Reads the facts from the histories; None where it is not known what the teacher has reached.

    Args:
      histories: See `advise`.
      candidate: See `advise`.
      levers: See `advise`.
    """
    history, teacher, scratch = (histories.get(name) for name in (candidate, TEACHER, SCRATCH))
    if history is None or teacher is None:
        return None
    if history.reference == "teacher":
        of_teacher = Reached(1.0, 1.0)  # It agrees with itself.
    elif teacher.epochs:
        of_teacher = _reached(teacher)
    else:
        return None
    return Facts(
        student=_reached(history),
        teacher=of_teacher,
        scratch=_reached(scratch) if scratch else None,
        is_unfinished=_is_unfinished(history),
        levers=levers,
    )


def _reached(history: History) -> Reached:
    return Reached(history.best.accuracy, history.best.val_accuracy)


def _is_unfinished(history: History) -> bool:
    """Tells whether a training ended in its best epoch, with a loss that was still falling."""
    if history.best_epoch != len(history.epochs) or len(history.epochs) < 2:
        return False
    before, last = (epoch.loss for epoch in history.epochs[-2:])
    return before is not None and last is not None and last < (1 - _FALLING) * before
