import pydantic
import pytest

from components.settings.evaluation import EvaluationSettings


def test_the_least_is_asked_by_default():
    settings = EvaluationSettings()
    assert (settings.min_accuracy, settings.max_accuracy_drop) == (0, 0.01)
    assert (settings.against_scratch, settings.significance_level) == ("not_worse", 0.05)


def test_all_of_it_survives_the_way_to_a_node():
    settings = EvaluationSettings.model_validate(
        {
            "slices": ["image_size"],
            "values": [{"metric": "macro_f1", "min": 0.8, "slice": "class=cat"}],
            "changes": [{"baseline": "teacher", "min": -0.02, "slice": "image_size=64-127"}],
        }
    )
    assert EvaluationSettings.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"values": [{"metric": "accuracy", "min": 0.9, "max": 0.8}]}, "at least 0.9 and at most 0.8"),
        (
            {"min_accuracy": 0.9, "values": [{"metric": "accuracy", "max": 0.8}]},
            "accuracy contradict each other: at least 0.9 and at most 0.8",
        ),
        (
            {"values": [{"metric": "auc", "min": 0.9}, {"metric": "auc", "max": 0.5}]},
            "auc contradict each other",
        ),
        (
            {
                "values": [
                    {"metric": "auc", "min": 0.9, "slice": "class=a"},
                    {"metric": "auc", "max": 0.5, "slice": "class=a"},
                ]
            },
            "auc on class=a contradict each other",
        ),
        (
            {"against_scratch": "better", "changes": [{"baseline": "scratch", "max": 0.0}]},
            "accuracy against scratch contradict each other: more than 0 and at most 0",
        ),
        (
            {"changes": [{"baseline": "incumbent", "max": -0.1}]},
            "accuracy against incumbent contradict each other: at least -0.01 and at most -0.1",
        ),
        (
            {
                "changes": [
                    {"baseline": "teacher", "metric": "cross_entropy", "min": 0.0, "significant": "better"}
                ]
            },
            "cross_entropy against teacher contradict each other: at least 0 and less than 0",
        ),
        ({"values": [{"metric": "auc"}]}, "asks for nothing; give min or max"),
        ({"changes": [{"baseline": "teacher"}]}, "asks for nothing; give min, max or significant"),
        ({"values": [{"metric": "auc", "min": 0.1, "slice": "cats"}]}, "must be FEATURE=VALUE"),
        (
            {"values": [{"metric": "auc", "min": 0.1, "slice": "height=8"}]},
            "'height' is not among the slices; add it there",
        ),
        ({"slices": ["label"]}, "needs no mention of the classes"),
        ({"slices": ["height", "height"]}, "names 'height' twice"),
        ({"values": [{"metric": "f2", "min": 0.1}]}, "must be one of accuracy, top_k_accuracy"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(settings, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        EvaluationSettings.model_validate(settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"values": [{"metric": "auc", "min": 0.9}, {"metric": "auc", "max": 0.5, "slice": "class=a"}]},
        {"against_scratch": "better", "changes": [{"baseline": "scratch", "max": 0.1}]},
        {"max_accuracy_drop": 1.0, "changes": [{"baseline": "incumbent", "max": -0.1}]},
    ],
)
def test_what_can_be_met_is_accepted(settings):
    EvaluationSettings.model_validate(settings)
