"""What a node's container runs: between KFP's launcher and TFX's executors.

KFP's launcher downloads the inputs of a node, starts this program, and uploads the outputs. What it hands
over differs from what TFX expects:

- input artifacts carry no type: the types are taken from the inputs specification, which the compiler passes;
- an output `executor-logs` is added, which is no artifact of TFX's;
- artifacts have the URIs of the object store, whereas their files lie where the launcher mounts it;
- no directory is made for an output;
- workers of another engine of Beam's than this container reach the object store alone: their nodes read and
  write there, and what the launcher has downloaded is not used;
- the parameters of a run are inputs of their own, and so is what Look has found; see
  `pipeline.kubeflow.run_parameters` and `pipeline.kubeflow.findings`.

Look itself has no executor of TFX's, and does without TFX.
"""

import argparse
import functools
import json
import logging
import os
import pathlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pydantic
import yaml

from components import tfx_patches
from components.errors import InputError, LostEngineError
from components.layout import EVALUATION_FILE
from components.report.summary import Evaluation
from components.report.terminal import to_text
from components.settings.explaining import explain
from components.storage.files import read_json, read_text, write_json
from components.storage.uri import is_remote, join, parent_of
from pipeline.beam.failures import explain as explain_failure
from pipeline.config.beam import BeamSettings
from pipeline.config.experiment import Config
from pipeline.kubeflow.ledger_line import (
    find_run,
    noting_the_push,
    noting_what_stops_look,
    push_nothing,
    take_tick,
)
from pipeline.kubeflow.look import look, publish
from pipeline.kubeflow.problems import describe_problems, set_by_run
from pipeline.kubeflow.result_lines import RESULT_MARK
from pipeline.kubeflow.run_parameters import UNFILLED, assign

FAILURE = 1
INPUT_ERROR = 2

_TERMINATION_LOG = pathlib.Path("/dev/termination-log")
_LONGEST_MESSAGE = 4096  # Kubernetes keeps no more of it.
_MOUNTS = {"gs://": "gcs", "s3://": "s3", "minio://": "minio"}
_LOGS = "executor-logs"
_EXECUTOR_DIRECTORY = ".executor"
_NATIVE = "system."
_RUN = "run"  # The parameter of a Pusher, which asks for the id of the run: TFX does not know it there.

_logger = logging.getLogger(__name__)


def main() -> None:
    """Runs a node and leaves at once: 0 success, 1 failure, 2 an input error."""
    code = run(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # TensorFlow's threads can hang at a regular exit.


def run(arguments: Sequence[str], *, termination_log: pathlib.Path = _TERMINATION_LOG) -> int:
    """Runs a node as KFP's launcher asks for it.

    Args:
      arguments: The command line, as the compiler writes it and the launcher fills it in.
      termination_log: The file from which Kubernetes takes a container's final message, if it exists.

    Returns:
      The exit code.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # Pipelines of earlier versions hand over options of Beam's, too.
    options, _ = _parser().parse_known_args(arguments)
    try:
        _run_node(options)
    except Exception as error:
        code, message = _describe(error, parameters=_set_by_run(options))
        if code == FAILURE:
            _logger.exception("The node failed.")
        print(message, file=sys.stderr, flush=True)
        _leave_message(message, path=termination_log)
        return code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m pipeline.kubeflow.entrypoint", allow_abbrev=False)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--executor_class_path", help="Which executor runs.")
    what.add_argument("--look", action="store_true", help="Looks what is new, without an executor.")
    parser.add_argument(
        "--json_serialized_invocation_args", type=json.loads, required=True, help="KFP's ExecutorInput."
    )
    parser.add_argument(
        "--json_serialized_inputs_spec_args",
        type=json.loads,
        default={},
        help="KFP's ComponentInputsSpec, as compiled.",
    )
    parser.add_argument(
        "--run_parameter",
        action="append",
        default=[],
        metavar="PATH=NAME",
        help="Puts the parameter NAME of the run at PATH in the exec properties. May be repeated.",
    )
    parser.add_argument(
        "--beam",
        type=BeamSettings.model_validate_json,
        default=BeamSettings(),
        metavar="JSON",
        help="On which engine Beam runs, as kubeflow.beam says.",
    )
    parser.add_argument(
        "--mounts",
        default="/",
        help="Below which directory the launcher mounts object stores: / in a container.",
    )
    return parser


def _run_node(options: argparse.Namespace) -> None:
    """Runs the node between two translations."""
    invocation = _look(options) if options.look else _carry_out(options)
    _print_result(invocation["outputs"]["artifacts"], mounts=options.mounts)
    output = read_json(invocation["outputs"]["outputFile"])
    output_file = options.json_serialized_invocation_args["outputs"]["outputFile"]
    write_json(output_file, restore_uris(output, mounts=options.mounts))


def _translate(options: argparse.Namespace) -> dict[str, Any]:
    return translate(
        options.json_serialized_invocation_args,
        inputs=options.json_serialized_inputs_spec_args,
        run_parameters=options.run_parameter,
        mounts=options.mounts,
        in_place=options.beam.engine != "direct",
    )


def _look(options: argparse.Namespace) -> dict[str, Any]:
    """Looks what is new; returns the translated invocation."""
    given = options.json_serialized_invocation_args
    with noting_what_stops_look(given):
        invocation = _translate(options)
        _make_directories(invocation["outputs"])
        config = _read_configuration(
            invocation["inputs"]["parameterValues"]["configuration"],
            compiled=given["inputs"]["parameterValues"]["configuration"],
            parameters=_set_by_run(options),
        )
        seen = look(config, run=find_run(given))
    publish(seen, invocation["outputs"])
    if not seen.is_new:
        print(f"{RESULT_MARK}{seen.reason}", flush=True)
    return invocation


def _read_configuration(text: str, *, compiled: str, parameters: Mapping[str, str]) -> Config:
    """Reads the configuration with the parameters of the run in it.

    Args:
      text: The configuration.
      compiled: The same without the parameters.
      parameters: Those of the run, by the keys that they set.

    Raises:
      InputError: It cannot be used, by the fault of the parameters or of the image.
    """
    try:
        return Config.model_validate_json(text)
    except pydantic.ValidationError as error:
        problems = explain(error, given=json.loads(text))
    raise InputError(
        describe_problems(problems, parameters=parameters, compiled=_problems_of_configuration(compiled))
    )


def _problems_of_configuration(text: str) -> list[str]:
    try:
        Config.model_validate_json(text)
    except pydantic.ValidationError as error:
        return explain(error, given=json.loads(text))
    return []


def _carry_out(options: argparse.Namespace) -> dict[str, Any]:
    """Runs a node of TFX's, unless it is to push what is not new; returns the translated invocation."""
    invocation = _translate(options)
    _make_directories(invocation["outputs"])
    run, tick = find_run(options.json_serialized_invocation_args), take_tick(invocation)
    if tick is not None and tick.run != run:
        push_nothing(invocation)
        return invocation
    if _RUN in invocation["inputs"]["parameterValues"]:
        invocation["inputs"]["parameterValues"][_RUN] = run
    with noting_the_push(invocation, tick=tick):
        _execute(options, invocation=invocation)
    return invocation


def _execute(options: argparse.Namespace, *, invocation: dict[str, Any]) -> None:
    """Runs the executor by TFX's own entry point."""
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

    from components.storage import tfx_file_system
    from pipeline.beam.operator import Engine

    tfx_file_system.register()
    with tfx_patches.wherever_nodes_run(), tfx_patches.artifact_types():
        engine = Engine(settings=options.beam, root=parent_of(invocation["outputs"]["outputFile"]))
        arguments = argparse.Namespace(
            executor_class_path=options.executor_class_path,
            json_serialized_invocation_args=json.dumps(invocation),
            json_serialized_inputs_spec_args=json.dumps(options.json_serialized_inputs_spec_args),
        )
        try:
            kubeflow_v2_run_executor._run_executor(arguments, list(engine.args))
        except Exception as error:
            explained = explain_failure(error, engine=options.beam.engine)
            if explained in (None, error):
                raise
            raise explained from error


def _print_result(outputs: Mapping[str, Any], *, mounts: str) -> None:
    """Prints the table, the verdict and where the report is if the node was the Evaluator.

    `distill submit --wait` shows them: Kubeflow's API gives out the log of a container, but no artifacts.
    """
    if "evaluation" not in outputs:
        return
    (evaluation,) = outputs["evaluation"]["artifacts"]
    content = read_text(join(evaluation["uri"], EVALUATION_FILE))
    table = to_text(Evaluation.model_validate_json(content)).splitlines()
    (report,) = outputs["report"]["artifacts"]
    for line in (*table, f"Report:  {store_uri(report['uri'], mounts=mounts)}"):
        print(f"{RESULT_MARK}{line}", flush=True)


def translate(
    invocation: dict[str, Any],
    *,
    inputs: dict[str, Any],
    run_parameters: Iterable[str],
    mounts: str,
    in_place: bool = False,
) -> dict[str, Any]:
    """Turns what KFP's launcher hands over into what TFX's entry point takes.

    Args:
      invocation: KFP's ExecutorInput.
      inputs: The ComponentInputsSpec of the node, as TFX compiled it.
      run_parameters: `PATH=NAME` for each parameter of the run that the node takes.
      mounts: Below which directory the object stores are mounted.
      in_place: Whether artifacts keep the URIs of the object store, all but those of KFP's own kinds, which
        its launcher uploads; what TFX says of the execution goes beside them, too.

    Returns:
      A new ExecutorInput: typed inputs, without `executor-logs`, with local URIs and the parameters of the
      run in their places.

    Raises:
      InputError: A parameter of the run cannot be used.
    """
    given, outputs = invocation.get("inputs", {}), invocation["outputs"]
    properties = _exec_properties(given.get("parameterValues", {}), run_parameters)
    types = {key: artifact["artifactType"] for key, artifact in inputs.get("artifacts", {}).items()}
    place = functools.partial(_place, mounts=mounts, in_place=in_place)
    translated = _translate_artifacts(outputs.get("artifacts", {}), types={}, place=place)
    return {
        "inputs": {
            "artifacts": _translate_artifacts(given.get("artifacts", {}), types=types, place=place),
            "parameterValues": properties,
        },
        "outputs": outputs
        | {"artifacts": translated}
        | ({"outputFile": _beside(translated)} if in_place else {}),
    }


def _beside(outputs: Mapping[str, Any]) -> str:
    """Returns where TFX may say, for workers elsewhere too, what became of a node and what is in between."""
    uris = (artifact["uri"] for found in outputs.values() for artifact in found["artifacts"])
    return join(parent_of(next(filter(is_remote, uris))), _EXECUTOR_DIRECTORY, "output_metadata.json")


def _place(artifact: Mapping[str, Any], *, mounts: str, in_place: bool) -> str:
    """Returns where a node finds an artifact, or puts it."""
    stays = in_place and not _title(artifact.get("type", {})).startswith(_NATIVE)
    return str(artifact["uri"]) if stays else local_path(artifact["uri"], mounts=mounts)


def local_path(uri: str, *, mounts: str) -> str:
    """Returns where the launcher puts what has this URI; any other URI is returned as it is.

    Args:
      uri: Such as `s3://bucket/key`.
      mounts: Below which directory the object stores are mounted.
    """
    for scheme, directory in _MOUNTS.items():
        if uri.startswith(scheme):
            return str(pathlib.Path(mounts, directory, uri.removeprefix(scheme)))
    return uri


def store_uri(path: str, *, mounts: str) -> str:
    """Returns the URI of what the launcher uploads from this path; the inverse of `local_path`.

    Args:
      path: Such as `/s3/bucket/key`.
      mounts: Below which directory the object stores are mounted.
    """
    for scheme, directory in _MOUNTS.items():
        mount = f"{pathlib.Path(mounts, directory)}/"
        if path.startswith(mount):
            return scheme + path.removeprefix(mount)
    return path


def _translate_artifacts(
    artifacts: dict[str, Any], *, types: Mapping[str, Any], place: Callable[[Mapping[str, Any]], str]
) -> dict[str, Any]:
    """Gives artifacts their types, where there are any, and their places."""
    translated = {}
    for key, found in artifacts.items():
        if key != _LOGS:
            changes = {"type": types[key]} if types else {}
            translated[key] = {
                "artifacts": [
                    artifact | changes | {"uri": place(artifact | changes)} for artifact in found["artifacts"]
                ]
            }
    return translated


def _exec_properties(values: dict[str, Any], run_parameters: Iterable[str]) -> dict[str, Any]:
    assignments = [run_parameter.split("=") for run_parameter in run_parameters]
    names = {name for _, name in assignments}
    properties = {key: value for key, value in values.items() if key not in names}
    for path, name in assignments:
        properties = _assign_parameter(properties, path=path, name=name, value=values[name])
    return properties


def _assign_parameter(properties: dict[str, Any], *, path: str, name: str, value: Any) -> dict[str, Any]:
    """Puts a parameter of the run in its place, or refuses it by its name."""
    if isinstance(value, str) and UNFILLED in value:
        raise InputError(
            f"The parameter {name} of the run is {value!r}, as written: Kubeflow does not fill it in for "
            "a schedule that is pinned to a version; give a value, or data whose path holds {SPAN} or "
            "{YYYY}-{MM}-{DD}."
        )
    try:
        return assign(properties, path=path, value=value)
    except InputError as error:
        raise InputError(
            f"The parameter {name} of the run cannot be used: {error}; correct it and run again."
        ) from None


def _make_directories(outputs: dict[str, Any]) -> None:
    """Makes what TFX's launcher would make; an artifact of KFP's own kind is a file."""
    if not is_remote(outputs["outputFile"]):
        pathlib.Path(outputs["outputFile"]).parent.mkdir(parents=True, exist_ok=True)
    for found in outputs["artifacts"].values():
        for artifact in found["artifacts"]:
            if is_remote(artifact["uri"]):
                continue
            path = pathlib.Path(artifact["uri"])
            is_file = _title(artifact.get("type", {})).startswith(_NATIVE)
            (path.parent if is_file else path).mkdir(parents=True, exist_ok=True)


def _title(type_: Mapping[str, str]) -> str:
    """Returns the name of an artifact's type, which KFP's driver passes as it was compiled."""
    if "instanceSchema" in type_:
        return str(yaml.safe_load(type_["instanceSchema"])["title"])
    return type_.get("schemaTitle", "")


def restore_uris(output: Any, *, mounts: str) -> Any:
    """Gives back the URIs of the object store, also to artifacts that another one names in its metadata.

    Args:
      output: KFP's ExecutorOutput, or a part of it.
      mounts: Below which directory the object stores are mounted.

    Returns:
      The same, with URIs in the places of local paths.
    """
    if isinstance(output, dict):
        return {key: restore_uris(value, mounts=mounts) for key, value in output.items()}
    if isinstance(output, list):
        return [restore_uris(value, mounts=mounts) for value in output]
    return store_uri(output, mounts=mounts) if isinstance(output, str) else output


def _set_by_run(options: argparse.Namespace) -> dict[str, str]:
    inputs = options.json_serialized_invocation_args.get("inputs", {})
    return set_by_run(options.run_parameter, inputs.get("parameterValues", {}))


def _describe(error: Exception, *, parameters: Mapping[str, str]) -> tuple[int, str]:
    """Puts an error into one line, and says whose it is."""
    if isinstance(error, LostEngineError):
        return FAILURE, str(error)
    if isinstance(error, InputError):
        return INPUT_ERROR, str(error)
    if isinstance(error, pydantic.ValidationError):
        return INPUT_ERROR, describe_problems(explain(error), parameters=parameters)
    lines = str(error).strip().splitlines() or ["no message"]
    return FAILURE, f"internal error: {type(error).__name__}: {lines[0]}; the traceback is in the log above"


def _leave_message(message: str, *, path: pathlib.Path) -> None:
    """Leaves the message where Kubernetes looks for it, if that can be written."""
    if path.is_file() and os.access(path, os.W_OK):
        path.write_text(message[:_LONGEST_MESSAGE], encoding="utf-8")


if __name__ == "__main__":
    main()
