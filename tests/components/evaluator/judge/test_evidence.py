import numpy as np
import pyarrow.dataset
import pytest

from components.evaluator.evaluation import describe
from components.evaluator.judge.evidence import Evidence, parse_slice
from components.evaluator.judge.gates import gates
from components.evaluator.measure.cost import Cost
from components.evaluator.measure.outcomes import Outcomes, to_table
from components.evaluator.measure.results import MeasuredQuality
from components.evaluator.measure.speed import Speed
from components.metrics import ACCURACY, CROSS_ENTROPY
from components.report.summary import Architectures, DataCheck, TopK, Variant
from components.settings.evaluation import EvaluationSettings

ONLY = Variant(settings={}, chosen=True, best_epoch=1, epochs=1, val_accuracy=0.9, val_loss=0.5)
LABELS = np.repeat([0, 1], 50)


def logits(errors):
    """Names the label of every example but the first `errors`."""
    named = np.where(np.arange(100) < errors, 1 - LABELS, LABELS)
    return np.where(named[:, np.newaxis] == np.arange(2), 2.0, 0.0)


def make_outcomes(errors):
    return Outcomes(
        pyarrow.dataset.dataset(
            to_table(
                ids=np.array([f"{number:03}".encode() for number in range(100)], object),
                labels=LABELS,
                features={"image_size": ["8-15", "16-31"] * 50},
                logits={name: logits(count) for name, count in errors.items()},
            )
        )
    )


def make_evidence(errors, *, on_reference=None):
    """Models by the number of images, of 100, that each gets wrong; half of the images are small."""
    names = ("cross_entropy", "expected_calibration_error", "macro_f1", "auc", "top_k_accuracy")
    names += ("agreement_with_teacher", "kl_from_teacher")
    names += ("agreement_where_teacher_right", "agreement_where_teacher_wrong")
    quality = {
        name: MeasuredQuality(
            metrics={
                key: dict.fromkeys(names, 0.5) | {"example_count": size, "accuracy": 1 - count / 100}
                for key, size in ((None, 100), (("image_size", "16-31"), 50), (("image_size", "8-15"), 50))
            },
            confusion=np.array([[50 - count, count], [0, 50]]),
            reliability=[],
        )
        for name, count in errors.items()
    }
    return Evidence(
        class_names=("ant", "bee"),
        quality=quality,
        costs=dict.fromkeys(errors, Cost(parameters=15, size_bytes=1234, multiply_adds=12)),
        speeds=dict.fromkeys(errors, Speed(latency_median_ms=1.5, latency_p95_ms=2, throughput=500)),
        outcomes=make_outcomes(errors),
        reference=make_outcomes(on_reference) if on_reference else None,
        confidence=0.95,
    )


@pytest.fixture
def evidence():
    return make_evidence({"teacher": 2, "scratch": 20, "kd": 10, "incumbent": 9})


def evaluate(evidence, **settings):
    return describe(
        evidence,
        candidate="kd",
        gates=gates(evidence, candidate="kd", settings=EvaluationSettings.model_validate(settings)),
        architectures=Architectures(teacher=(), student=()),
        histories={},
        variants={"kd": [ONLY]},
        levers=(),
        incumbent_version="none",
        data_check=DataCheck(drift=None, duplicates=()),
        warnings=(),
    )


def failed(evidence, **settings):
    found = gates(evidence, candidate="kd", settings=EvaluationSettings.model_validate(settings))
    return [(gate.name, gate.baseline, gate.slice) for gate in found if not gate.held]


def test_what_a_student_may_lose_is_bounded_on_the_reference_images_too():
    errors = {"teacher": 2, "scratch": 20, "kd": 10, "incumbent": 9}
    evidence = make_evidence(errors, on_reference=errors | {"kd": 14})
    found = gates(evidence, candidate="kd", settings=EvaluationSettings(max_accuracy_drop=0.02))
    assert [(gate.split, gate.bound, gate.measured, gate.held) for gate in found[-2:]] == [
        ("test", 0.02, pytest.approx(0.01), True),
        ("reference", 0.02, pytest.approx(0.05), False),
    ]

    of_its_own = EvaluationSettings(max_accuracy_drop=0.02, max_accuracy_drop_on_reference=0.06)
    found = gates(evidence, candidate="kd", settings=of_its_own)
    assert (found[-1].split, found[-1].bound, found[-1].held) == ("reference", 0.06, True)


def test_an_evaluation_has_a_verdict_on_the_reference_images():
    errors = {"teacher": 2, "scratch": 20, "kd": 10, "incumbent": 9}
    evaluation = evaluate(make_evidence(errors, on_reference=errors | {"kd": 14}))

    assert not evaluation.blessed
    assert "drop in accuracy against incumbent on the reference images is 5.00 %, but" in (
        evaluation.verdict.replace("\N{NO-BREAK SPACE}", " ")
    )
    reference = evaluation.reference
    assert reference.examples == 100
    assert {name: model.accuracy for name, model in reference.models.items()} == {
        "teacher": 0.98, "scratch": 0.8, "kd": 0.86, "incumbent": 0.91,
    }  # fmt: skip
    # Of 100 images all but 14 have logits 2 and 0 for the label, those 14 the other way round.
    right = np.log1p(np.exp(-2))
    assert reference.models["kd"].cross_entropy == pytest.approx(right + 0.14 * 2)
    (difference,) = (
        each for each in reference.differences if (each.baseline, each.metric) == ("scratch", "accuracy")
    )
    assert difference.estimate == pytest.approx(0.06)
    words = reference.verdict.replace("\N{NO-BREAK SPACE}", " ")
    assert words.startswith(
        "On the 100 reference images, which are the same in every run: accuracy 86.0 %; scratch 80.0 % [+6.00"
    )
    assert evaluation.verdicts == (evaluation.verdict, reference.verdict)
    assert evaluate(make_evidence(errors)).reference is None


def test_the_default_asks_for_little_but_means_it(evidence):
    found = gates(evidence, candidate="kd", settings=EvaluationSettings())
    assert [(gate.name, gate.bound, gate.measured, gate.held) for gate in found] == [
        ("finite cross-entropy", None, 0.5, True),
        ("number of classes named", 2, 2, True),
        ("accuracy", 0, 0.9, True),
        ("p-value of a worse accuracy", 0.05, 1, True),
        ("drop in accuracy", 0.01, pytest.approx(0.01), True),
    ]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"min_accuracy": 0.9}, []),
        ({"min_accuracy": 0.91}, [("accuracy", None, None)]),
        ({"max_accuracy_drop": 0.009}, [("drop in accuracy", "incumbent", None)]),
        # 10 wins, no loss: p = 2 / 2**10.
        ({"against_scratch": "better"}, []),
        (
            {"against_scratch": "better", "significance_level": 0.001},
            [("p-value of a better accuracy", "scratch", None)],
        ),
        # (20 - 10) / (20 - 2)
        ({"min_gap_closed": 0.55}, []),
        ({"min_gap_closed": 0.56}, [("gap closed", None, None)]),
        ({"max_size_bytes": 1233}, [("size", None, None)]),
        ({"max_latency_ms": 1.4}, [("median latency", None, None)]),
        ({"values": [{"metric": "macro_f1", "min": 0.5, "max": 0.5}]}, []),
        ({"values": [{"metric": "kl_from_teacher", "max": 0.4}]}, [("kl from teacher", None, None)]),
        (
            {"slices": ["image_size"], "values": [{"metric": "auc", "min": 0.6, "slice": "image_size=8-15"}]},
            [("auc", None, "image_size=8-15")],
        ),
        (
            {"slices": ["image_size"], "values": [{"metric": "auc", "min": 0.1, "slice": "image_size=1-1"}]},
            [("auc", None, "image_size=1-1")],
        ),
        # 8 losses, no win: p = 2 / 2**8.
        (
            {"changes": [{"baseline": "teacher", "significant": "not_worse"}]},
            [("p-value of a worse accuracy", "teacher", None)],
        ),
        ({"changes": [{"baseline": "teacher", "min": -0.08}]}, []),
        ({"changes": [{"baseline": "teacher", "min": -0.07}]}, [("difference in accuracy", "teacher", None)]),
        # All of its errors are ants.
        ({"changes": [{"baseline": "teacher", "min": 0, "slice": "class=bee"}]}, []),
        (
            {"changes": [{"baseline": "teacher", "min": -0.1, "slice": "class=ant"}]},
            [("difference in accuracy", "teacher", "class=ant")],
        ),
        (
            {"changes": [{"baseline": "teacher", "significant": "not_worse", "slice": "class=cow"}]},
            [("p-value of a worse accuracy", "teacher", "class=cow")],
        ),
    ],
)  # fmt: skip
def test_what_does_not_hold(evidence, settings, expected):
    assert failed(evidence, **settings) == expected


def test_two_copies_of_one_model_are_never_called_better():
    evaluation = evaluate(make_evidence({"teacher": 2, "scratch": 10, "kd": 10}), against_scratch="better")
    assert evaluation.blessed is False
    assert "not significantly better than scratch" in evaluation.verdict
    (accuracy,) = (
        each for each in evaluation.differences if (each.baseline, each.metric) == ("scratch", "accuracy")
    )
    assert (accuracy.estimate, accuracy.p_value) == (0, 1)


def test_a_student_that_always_says_one_class_is_refused():
    # It gets all ants wrong, and no bee.
    assert failed(make_evidence({"teacher": 2, "scratch": 50, "kd": 50})) == [
        ("number of classes named", None, None)
    ]


def test_a_teacher_worse_than_scratch_is_said_plainly():
    evaluation = evaluate(make_evidence({"teacher": 50, "scratch": 2, "kd": 2}), min_gap_closed=0.1)
    assert "the teacher 50.0\N{NO-BREAK SPACE}%, worse than scratch" in evaluation.verdict
    assert evaluation.warnings[0].startswith("The teacher is worse than the student trained from scratch")
    assert evaluation.gap_closed["kd"].estimate is None
    assert evaluation.gap_closed["kd"].reason == "the teacher is worse than the student trained from scratch"
    assert evaluation.blessed is False
    assert "gap closed is undefined" in evaluation.verdict


def test_a_difference_on_a_slice_counts_its_examples_alone(evidence):
    small = evidence.difference("kd", baseline="scratch", metric="accuracy", of=("image_size", "8-15"))
    assert small.estimate == 5 / 50
    assert small.p_value == pytest.approx(2 / 2**5)


@pytest.mark.parametrize(("decision", "held"), [("hold", False), ("ship", None)])
def test_where_what_ships_cannot_be_compared_with_the_settings_decide(evidence, decision, held):
    settings = EvaluationSettings(on_incomparable=decision)

    found = gates(evidence, candidate="kd", settings=settings, incomparable="it knows other classes")

    about = [(gate.held, gate.detail) for gate in found if gate.name.endswith("students compared with")]
    assert about == ([] if held is None else [(held, "it knows other classes")])
    without = gates(evidence, candidate="kd", settings=settings)
    assert [gate for gate in found if gate.held] == [gate for gate in without if gate.held]


def test_differences_are_with_scratch_teacher_and_incumbent(evidence):
    evaluation = evaluate(evidence)
    found = {(each.baseline, each.metric): each for each in evaluation.differences}
    assert set(found) == {
        (baseline, metric)
        for baseline in ("scratch", "teacher", "incumbent")
        for metric in ("accuracy", "cross_entropy")
    }
    assert found["scratch", "accuracy"].estimate == pytest.approx(0.1)
    # Each error costs 2 nats more than the right answer.
    assert found["scratch", "cross_entropy"].estimate == pytest.approx(-0.2)
    assert evaluation.gap_closed["kd"].estimate == pytest.approx(10 / 18)


def test_slices_come_in_the_order_of_their_sizes(evidence):
    assert [each.value for each in evaluate(evidence).models["kd"].slices] == ["8-15", "16-31"]


@pytest.mark.parametrize(("accuracy", "top_k"), [(0.75, TopK(k=5, accuracy=0.75)), (np.nan, None)])
def test_a_top_k_accuracy_is_written_with_its_k_where_it_is_defined(evidence, accuracy, top_k):
    evidence.quality["kd"].metrics[None]["top_k_accuracy"] = accuracy
    assert evaluate(evidence).models["kd"].top_k == top_k


def test_a_metric_that_is_not_finite_is_undefined(evidence):
    evidence.quality["kd"].metrics[None]["cross_entropy"] = np.nan
    found = evaluate(evidence).models["kd"]
    assert (found.metric(CROSS_ENTROPY), found.metric(ACCURACY)) == (None, 0.9)


def test_a_class_without_numbers_has_no_examples(evidence):
    """None of the metrics is of a class; the confusion matrix counts the images of all of them."""
    ant = evaluate(evidence).models["kd"].per_class["ant"]
    assert (ant.examples, ant.metric(ACCURACY)) == (0, None)
    # Ten of fifty ants are taken for bees, and no bee for an ant.
    assert (ant.precision, ant.f1) == (1, pytest.approx(80 / 90))


def test_a_slice_may_have_any_value():
    assert parse_slice("source=a=b") == ("source", "a=b")
    assert parse_slice(None) is None
