import math

from components.evaluator.cost import Cost
from components.evaluator.measures import NOTHING, Measures, Quality, summarise
from components.evaluator.verdict import Gate, Verdict


def test_summary_of_an_evaluation():
    measures = {
        name: Measures(
            overall=Quality(examples=4, accuracy=0.75, cross_entropy=cross_entropy),
            per_class=(Quality(examples=4, accuracy=0.75, cross_entropy=cross_entropy), NOTHING),
            cost=Cost(parameters=15, size_bytes=1234, num_outputs=2),
        )
        for name, cross_entropy in (("teacher", 0.5), ("scratch", 0.6), ("kd", math.nan))
    }
    gate = Gate(name="accuracy", model="kd", bound=0.8, measured=0.75, held=False)
    verdict = Verdict(candidate="kd", blessed=False, sentence="No.", gates=(gate,))

    summary = summarise(measures, verdict=verdict, class_names=("ant", "bee"))

    assert list(summary["models"]) == ["teacher", "scratch", "kd"]
    assert [model["role"] for model in summary["models"].values()] == ["teacher", "scratch", "distilled"]
    assert summary["models"]["kd"] == {
        "role": "distilled",
        "accuracy": 0.75,
        "cross_entropy": None,
        "parameters": 15,
        "size_bytes": 1234,
        "per_class": {"ant": {"accuracy": 0.75, "examples": 4}, "bee": {"accuracy": None, "examples": 0}},
    }
    del summary["models"]
    assert summary == {
        "class_names": ["ant", "bee"],
        "test_examples": 4,
        "candidate": "kd",
        "blessed": False,
        "verdict": "No.",
        "gates": [{"name": "accuracy", "model": "kd", "bound": 0.8, "measured": 0.75, "held": False}],
    }
