"""What a run on Kubeflow notes in the ledger beside the pushed versions, when it looks and when it pushes."""

import contextlib
import json
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from components.errors import InputError
from components.files import read_json, write_json
from components.layout import EVALUATION_FILE
from components.report.summary import Evaluation
from pipeline.kubeflow.run_parameters import UNFILLED
from pipeline.retraining.ledger import Ledger, Tick, judged, stopped

# Kubeflow puts a node's outputs below ROOT/PIPELINE/RUN/NODE.
_RUN = re.compile(r"/([^/]+)/(?:Look|Pusher)/")


def find_run(invocation: Mapping[str, Any]) -> str:
    """Returns the id of the run from where an output of Look or Pusher goes; empty if it stands nowhere.

    Args:
      invocation: KFP's ExecutorInput.
    """
    outputs = invocation["outputs"].get("artifacts", {}).values()
    found = (_RUN.search(artifact["uri"]) for output in outputs for artifact in output["artifacts"])
    return next((match[1] for match in found if match), "")


@contextlib.contextmanager
def noting_what_stops_look(invocation: Mapping[str, Any]) -> Iterator[None]:
    """Notes what the user's data, models or parameters have stopped before anything was seen.

    Args:
      invocation: KFP's ExecutorInput of Look.
    """
    try:
        yield
    except InputError as error:
        values = invocation["inputs"]["parameterValues"]
        configuration = json.loads(values["configuration"])
        given = values.get("push_directory") or ""
        directory = (given if UNFILLED not in given else "") or configuration["push"]["directory"]
        if directory:
            tick = Tick.new(run=find_run(invocation), experiment=configuration["name"])
            with contextlib.suppress(InputError):  # What stops the node is said already.
                Ledger(directory, tick.experiment).end(stopped(tick, str(error)))
        raise


def take_tick(invocation: Mapping[str, Any]) -> Tick | None:
    """Returns the tick that Look has told a Pusher; None of any other node, and where there was no Look.

    Args:
      invocation: The ExecutorInput that TFX takes.
    """
    line = invocation["inputs"]["parameterValues"].get("run")
    return Tick.from_line(line) if line else None


def push_nothing(invocation: Mapping[str, Any]) -> None:
    """Writes what a Pusher has to say where nothing is new, should Kubeflow's cache not have it.

    Look has noted that already. Whatever was trained again, because the cache had lost it, is not pushed.

    Args:
      invocation: The ExecutorInput that TFX takes.
    """
    print("Nothing is new: nothing is pushed.", flush=True)
    pushed = dict(_only(invocation["outputs"]["artifacts"]["pushed_model"]))
    pushed["metadata"] = {"pushed": 0}
    output = {"artifacts": {"pushed_model": {"artifacts": [pushed]}}}
    write_json(pathlib.Path(invocation["outputs"]["outputFile"]), output)


@contextlib.contextmanager
def noting_the_push(invocation: Mapping[str, Any], *, tick: Tick | None) -> Iterator[None]:
    """Notes what a Pusher has done, or what stopped it.

    Args:
      invocation: The ExecutorInput that TFX takes.
      tick: As the run began; None notes nothing.

    Raises:
      InputError: The ledger cannot be written.
    """
    if tick is None:
        yield
        return
    values, inputs = invocation["inputs"]["parameterValues"], invocation["inputs"]["artifacts"]
    ledger = Ledger(json.loads(values["push"])["directory"], tick.experiment)
    try:
        yield
    except InputError as error:
        ledger.end(stopped(tick, str(error)))
        raise
    evaluation = Evaluation.model_validate(
        read_json(pathlib.Path(_only(inputs["evaluation"])["uri"], EVALUATION_FILE))
    )
    output = read_json(pathlib.Path(invocation["outputs"]["outputFile"]))
    version = _only(output["artifacts"]["pushed_model"])["metadata"].get("pushed_version")
    ledger.end(judged(tick, evaluation, pushed=version, ledger=ledger))


def _only(artifacts: Mapping[str, Any]) -> Mapping[str, Any]:
    (artifact,) = artifacts["artifacts"]
    return artifact
