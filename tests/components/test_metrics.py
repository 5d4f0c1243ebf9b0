import json
import subprocess
import sys

import pytest

PROGRAM = """
import json
import math

import numpy as np
import pyarrow.dataset

from components import metrics

# What a change of that file alone would do: it is done before anything else has read the table.
balanced = metrics.Metric(
    name="balanced_accuracy",
    description="Mean share of each class that is right.",
    heading="Balanced accuracy",
    unit="share",
    better="high",
    compute=lambda counts: float(np.mean(np.diag(counts.confusion) / counts.confusion.sum(axis=1))),
    per_class=False,
)
metrics.METRICS += (balanced,)
metrics.BY_NAME[balanced.name] = balanced

from components.evaluator.judge.evidence import Evidence
from components.evaluator.judge.gates import gates
from components.evaluator.measure import tally
from components.evaluator.measure.outcomes import Outcomes, to_table
from components.evaluator.measure.results import MeasuredQuality
from components.settings.evaluation import EvaluationSettings

# The first three of four ants and the only bee are named rightly: the mean of 3/4 and 1/1.
labels = np.array([0, 0, 0, 0, 1])
logits = np.array([[[9, 0], [9, 0], [9, 0], [0, 9], [0, 9]]], np.float32)
(computation,) = tally.Classification(teacher="teacher").computations(model_names=["teacher"])
combiner = computation.combiner
accumulator = combiner.add_input(combiner.create_accumulator(), tally.Examples(labels, logits, False))
outputs = {key.name: value for key, value in combiner.extract_output(accumulator).items() if not key.sub_key}
keys = {key.name for key in computation.keys}

table = to_table(
    ids=np.array([b"%d" % number for number in range(5)], object),
    labels=labels,
    features={},
    logits={"kd": logits[0]},
)
evidence = Evidence(
    class_names=("ant", "bee"),
    quality={
        "kd": MeasuredQuality(
            metrics={None: {name: outputs[name] for name in tally.NAMES}},
            confusion=np.array([[3, 1], [0, 1]]),
            reliability=[],
        )
    },
    costs={},
    speeds={},
    reference=None,
    outcomes=Outcomes(pyarrow.dataset.dataset(table)),
    confidence=0.95,
)
settings = EvaluationSettings.model_validate({"values": [{"metric": "balanced_accuracy", "min": 0.9}]})
gate = gates(evidence, candidate="kd", settings=settings)[-1]
print(json.dumps([sorted(keys) == sorted(outputs), gate.name, gate.unit, gate.measured, gate.held]))
"""


@pytest.mark.long
def test_a_metric_that_is_added_to_the_table_is_computed_written_and_judged():
    finished = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert json.loads(finished.stdout) == [True, "balanced accuracy", "share", (3 / 4 + 1) / 2, False]
