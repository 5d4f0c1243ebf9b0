"""What a run on Kubeflow notes in the ledger beside the pushed versions: a line when its Pusher ends."""

import contextlib
import json
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from components.errors import InputError
from components.files import read_json
from components.layout import EVALUATION_FILE
from components.report.summary import Evaluation
from pipeline.retraining.ledger import Ledger, judged, stopped

# Kubeflow puts a node's outputs below ROOT/PIPELINE/RUN/NODE.
_RUN = re.compile(r"/([^/]+)/Pusher/")


def find_run(invocation: Mapping[str, Any]) -> str:
    """Returns the id of the run from where a Pusher's output goes; empty if it stands nowhere.

    Args:
      invocation: KFP's ExecutorInput.
    """
    outputs = invocation["outputs"].get("artifacts", {})
    found = _RUN.search(_only(outputs["pushed_model"])["uri"]) if "pushed_model" in outputs else None
    return found[1] if found else ""


@contextlib.contextmanager
def noted(invocation: Mapping[str, Any], *, experiment: str | None) -> Iterator[None]:
    """Notes what a Pusher has done, or what stopped it.

    Args:
      invocation: The ExecutorInput that TFX takes.
      experiment: The name of the experiment; None notes nothing.

    Raises:
      InputError: The ledger cannot be written.
    """
    if experiment is None:
        yield
        return
    values, inputs = invocation["inputs"]["parameterValues"], invocation["inputs"]["artifacts"]
    ledger = Ledger(json.loads(values["push"])["directory"], experiment)
    begun = ledger.new_tick(run=values["run"])
    try:
        yield
    except InputError as error:
        ledger.end(stopped(begun, str(error)))
        raise
    evaluation = Evaluation.model_validate(
        read_json(pathlib.Path(_only(inputs["evaluation"])["uri"], EVALUATION_FILE))
    )
    output = read_json(pathlib.Path(invocation["outputs"]["outputFile"]))
    version = _only(output["artifacts"]["pushed_model"])["metadata"].get("pushed_version")
    ledger.end(judged(begun, evaluation, pushed=version, ledger=ledger))


def _only(artifacts: Mapping[str, Any]) -> Mapping[str, Any]:
    (artifact,) = artifacts["artifacts"]
    return artifact
