"""What is said where a student falls short; each history is made by hand."""

import pytest

from components.evaluator.judge.advice import advise
from components.report.summary import Epoch, History


def trained(*, training, validation, losses=(1.0, 0.5, 0.5), best=2, reference="labels"):
    """A history whose best epoch has these accuracies."""
    return History(
        best_epoch=best,
        reference=reference,
        epochs=tuple(
            Epoch(
                epoch=number,
                seconds=1.0,
                loss=loss,
                accuracy=training if number == best else 0.1,
                val_accuracy=validation if number == best else 0.1,
                val_loss=0.5,
            )
            for number, loss in enumerate(losses, start=1)
        ),
    )


TEACHER = trained(training=0.99, validation=0.95)
GOOD = trained(training=0.99, validation=0.945)
UNFINISHED = (1.0, 0.6, 0.4)
LEVERS = ("data.unlabelled", "augment", "student.architecture")


def said(student, *, scratch=GOOD, teacher=TEACHER, levers=LEVERS, guessing=0.1):
    histories = {"teacher": teacher, "kd": student} | ({"scratch": scratch} if scratch else {})
    advice = advise(histories, candidate="kd", levers=levers, guessing=guessing)
    return [sentence.replace("\N{NO-BREAK SPACE}", " ") for sentence in advice]


def test_a_student_on_a_par_with_its_teacher_needs_no_advice():
    assert said(GOOD) == []
    assert said(trained(training=0.99, validation=0.945, losses=UNFINISHED, best=3)) == []


@pytest.mark.parametrize(
    ("student", "scratch", "key"),
    [
        pytest.param(
            trained(training=0.93, validation=0.90, losses=UNFINISHED, best=3),
            trained(training=0.93, validation=0.90),
            "raise student.epochs",
            id="its best epoch is the last, and its loss was falling",
        ),
        pytest.param(
            trained(training=0.98, validation=0.935),
            trained(training=0.985, validation=0.946),
            "raise its student_loss_weight",
            id="a point worse than scratch",
        ),
        pytest.param(
            trained(training=0.985, validation=0.93),
            trained(training=0.985, validation=0.93),
            "(data.unlabelled), or with augment and teacher_predictions: {views: 8}",
            id="five points better in training",
        ),
        pytest.param(
            trained(training=0.90, validation=0.89),
            trained(training=0.90, validation=0.89),
            "a larger student.architecture",
            id="short of its teacher in training, as scratch is",
        ),
    ],
)
def test_each_fault_has_its_advice(student, scratch, key):
    (advice,) = said(student, scratch=scratch)
    assert key in advice


@pytest.mark.parametrize(
    ("levers", "end"),
    [
        (("data.unlabelled",), "distil from more images, which need no labels (data.unlabelled)."),
        (("augment",), "distil from more images, or with augment and teacher_predictions: {views: 8}."),
        ((), "distil from more images."),
    ],
)
def test_no_key_is_advised_that_the_configuration_would_refuse(levers, end):
    student = trained(training=0.985, validation=0.93)
    (advice,) = said(student, scratch=student, levers=levers)
    assert advice.endswith(end)


def test_a_student_from_a_file_has_no_architecture_to_change():
    student = trained(training=0.90, validation=0.89)
    (advice,) = said(student, scratch=student, levers=())
    assert advice.endswith("take a larger student.")


def test_the_numbers_stand_in_the_advice():
    (advice,) = said(trained(training=0.90, validation=0.89), scratch=trained(training=0.90, validation=0.89))
    assert "(90.0 % against 99.0 %)" in advice


def test_a_training_that_ended_with_a_flat_loss_is_not_called_too_short():
    flat = trained(training=0.93, validation=0.90, losses=(1.0, 0.5, 0.495), best=3)
    assert not any("student.epochs" in advice for advice in said(flat))


def test_a_student_that_falls_short_where_scratch_does_not_is_not_called_too_small():
    assert (
        said(trained(training=0.90, validation=0.89), scratch=trained(training=0.99, validation=0.89)) == []
    )


def test_several_faults_are_said_at_once():
    advice = said(trained(training=0.93, validation=0.90, losses=UNFINISHED, best=3))
    assert [("student.epochs" in each, "student_loss_weight" in each) for each in advice] == [
        (True, False),
        (False, True),
    ]


def test_nothing_helps_but_a_better_teacher_where_scratch_is_as_good():
    (advice,) = said(
        trained(training=0.93, validation=0.90, losses=UNFINISHED, best=3),
        scratch=trained(training=0.96, validation=0.95),
    )
    assert "a better teacher first, by more teacher.epochs" in advice
    assert "teacher (95.0 %) is no better than scratch (95.0 %)" in advice


def test_nothing_is_said_where_it_is_not_known_what_the_teacher_has_reached():
    pretrained = History(best_epoch=None, epochs=())
    assert said(trained(training=0.5, validation=0.4), teacher=pretrained) == []


def test_without_labels_the_teacher_agrees_with_itself():
    student = trained(training=0.90, validation=0.89, reference="teacher")
    (advice,) = said(student, scratch=None, teacher=History(best_epoch=None, epochs=()))
    assert "(90.0 % against 100.0 %): take a larger student.architecture" in advice


@pytest.mark.parametrize(
    ("reached", "guessing", "is_stuck"),
    [
        (0.1, 0.1, True),
        (0.18, 0.1, True),
        (0.2, 0.1, False),
        (0.54, 0.5, True),
        (0.56, 0.5, False),
        # Of a thousand classes five images in a hundred are many.
        (0.0015, 0.001, True),
        (0.05, 0.001, False),
    ],
)
def test_a_student_that_stayed_at_chance_is_to_take_shorter_steps(reached, guessing, is_stuck):
    """And nothing else: what its accuracy tells of labels and images is chance, too."""
    advice = said(trained(training=reached, validation=reached), guessing=guessing)

    assert any("stayed at chance" in each and "student.clip_norm: 1.0" in each for each in advice) == is_stuck
    if is_stuck:
        assert len(advice) == 1
        assert "'kd' stayed at chance (" in advice[0]
        assert "and the teacher did not (95.0 %)" in advice[0]


def test_where_the_teacher_learnt_little_too_the_steps_are_not_blamed():
    weak = trained(training=0.4, validation=0.3)
    advice = said(trained(training=0.1, validation=0.1), scratch=None, teacher=weak)
    assert not any("stayed at chance" in each for each in advice)


def test_another_student_at_chance_is_named_beside_what_the_candidate_needs():
    stuck = trained(training=0.1, validation=0.1)
    (advice,) = said(GOOD, scratch=stuck)
    assert advice.startswith("On the validation split 'scratch' stayed at chance (10.0 %)")
    unfinished = trained(training=0.93, validation=0.90, losses=UNFINISHED, best=3)
    histories = {"teacher": TEACHER, "scratch": GOOD, "kd": unfinished, "kd_t4": stuck}
    of_stuck, *others = advise(histories, candidate="kd", levers=LEVERS, guessing=0.1)
    assert of_stuck.startswith("On the validation split 'kd_t4' stayed at chance")
    assert others == list(advise(histories | {"kd_t4": GOOD}, candidate="kd", levers=LEVERS, guessing=0.1))
