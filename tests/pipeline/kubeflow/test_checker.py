import copy
import pathlib
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from pipeline.kubeflow.checker import check, find_problems

Document = dict[str, Any]

COMMITTED = pathlib.Path(__file__).parents[3] / "pipeline.yaml"
DOCUMENTS = list(yaml.safe_load_all(COMMITTED.read_text()))


def tasks(specification: Document) -> Document:
    return specification["root"]["dag"]["tasks"]


def container(specification: Document, node: str) -> Document:
    return specification["deploymentSpec"]["executors"][f"exec-{node}"]["container"]


def without_producer(specification: Document, _: Document) -> None:
    del tasks(specification)["Transform"]["inputs"]["artifacts"]["schema"]


def unknown_producer(specification: Document, _: Document) -> None:
    artifacts = tasks(specification)["Transform"]["inputs"]["artifacts"]
    artifacts["schema"]["taskOutputArtifact"]["producerTask"] = "SchemaGem"


def unknown_output(specification: Document, _: Document) -> None:
    artifacts = tasks(specification)["Transform"]["inputs"]["artifacts"]
    artifacts["schema"]["taskOutputArtifact"]["outputArtifactKey"] = "schemas"


def resolver(specification: Document, _: Document) -> None:
    specification["deploymentSpec"]["executors"]["exec-Pusher"] = {"resolver": {}}


def bad_name(specification: Document, _: Document) -> None:
    tasks(specification)["Push_er"] = tasks(specification).pop("Pusher")


def no_default(specification: Document, _: Document) -> None:
    del specification["root"]["inputDefinitions"]["parameters"]["teacher_epochs"]["defaultValue"]


def wrong_default(specification: Document, _: Document) -> None:
    specification["root"]["inputDefinitions"]["parameters"]["teacher_epochs"]["defaultValue"] = 2.5


def lifecycle(specification: Document, _: Document) -> None:
    container(specification, "ExampleGen")["lifecycle"] = {"preCacheCheck": {"command": ["python"]}}


def schema_version(specification: Document, _: Document) -> None:
    specification["schemaVersion"] = "2.0.0"


def wrong_type(specification: Document, _: Document) -> None:
    tasks(specification)["Evaluator"]["inputs"]["parameters"]["students"] = {
        "runtimeValue": {"constant": 3.0}
    }


def other_type(specification: Document, _: Document) -> None:
    tasks(specification)["Evaluator"]["inputs"]["parameters"]["students"] = {
        "componentInputParameter": "teacher_epochs"
    }


def future(specification: Document, _: Document) -> None:
    tasks(specification)["Evaluator"]["inputs"]["parameters"]["students"] = {
        "taskOutputParameter": {"producerTask": "Teacher_task", "outputParameterKey": "model"}
    }


def untold(specification: Document, _: Document) -> None:
    source = tasks(specification)["Evaluator"]["inputs"]["parameters"]["incumbent_version"]
    source["taskOutputParameter"]["outputParameterKey"] = "champion"


def too_early(specification: Document, _: Document) -> None:
    tasks(specification)["Evaluator"]["dependentTasks"].remove("Look")


def told_another_type(specification: Document, _: Document) -> None:
    outputs = specification["components"]["comp-Look"]["outputDefinitions"]["parameters"]
    outputs["data_fingerprint"] = {"parameterType": "NUMBER_DOUBLE"}


def no_value(specification: Document, _: Document) -> None:
    del tasks(specification)["Evaluator"]["inputs"]["parameters"]["students"]


def unknown_upstream(specification: Document, _: Document) -> None:
    tasks(specification)["Transform"]["dependentTasks"].append("Nobody")


def condition(specification: Document, _: Document) -> None:
    tasks(specification)["Pusher"]["triggerPolicy"] = {"condition": "1 == 1"}


def pipeline_name(specification: Document, _: Document) -> None:
    specification["pipelineInfo"]["name"] = "cats_vs_dogs"


def no_root(specification: Document, _: Document) -> None:
    del specification["defaultPipelineRoot"]


def unknown_field(specification: Document, _: Document) -> None:
    container(specification, "Teacher")["resources"]["gpus"] = 1


def unknown_kubernetes_field(_: Document, platform: Document) -> None:
    platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-Teacher"]["runtimeClass"] = (
        "nvidia"
    )


def stray_platform(_: Document, platform: Document) -> None:
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    executors["Teacher"] = executors.pop("exec-Teacher")


def test_the_committed_pipeline_has_no_problems() -> None:
    assert find_problems(*DOCUMENTS) == []


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (without_producer, "Transform: nothing produces the artifact schema"),
        (unknown_producer, "Transform: the artifact schema comes from SchemaGem, which is no task"),
        (unknown_output, "Transform: SchemaGen has no output schemas"),
        (resolver, "exec-Pusher: only containers run, not resolver"),
        (bad_name, "Push_er: a task's name must be of letters, digits and hyphens"),
        (no_default, "the parameter teacher_epochs has no default"),
        (wrong_default, "the default of teacher_epochs is no NUMBER_INTEGER"),
        (lifecycle, "exec-ExampleGen: a lifecycle is ignored"),
        (schema_version, "the schema version is '2.0.0', not '2.1.0'"),
        (wrong_type, "Evaluator: the parameter students is no STRING"),
        (other_type, "Evaluator: the parameter students is no NUMBER_INTEGER"),
        (future, "Evaluator: the parameter students comes from Teacher_task, which is no task"),
        (untold, "Evaluator: Look has no output parameter champion"),
        (too_early, "Evaluator: does not wait for Look, which puts out the parameter incumbent_version"),
        (told_another_type, "ExampleGen: the parameter data_fingerprint is no NUMBER_DOUBLE"),
        (no_value, "Evaluator: the parameter students has no value"),
        (unknown_upstream, "Transform: waits for Nobody, which is no task"),
        (condition, "Pusher: conditions and exit handlers are not of this pipeline's kind"),
        (pipeline_name, "the pipeline's name 'cats_vs_dogs' is not of small letters, digits and hyphens"),
        (no_root, "there is no default pipeline root"),
        (unknown_field, "the pipeline specification cannot be parsed"),
        (unknown_kubernetes_field, "the platform specification cannot be parsed"),
        (stray_platform, "Teacher: is in the platform specification alone"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_fault_is_found_and_no_other(spoil: Callable[[Document, Document], None], problem: str) -> None:
    specification, platform = copy.deepcopy(DOCUMENTS)
    spoil(specification, platform)

    (found,) = find_problems(specification, platform)

    assert found.startswith(problem)


def test_a_pipeline_job_is_not_a_pipeline() -> None:
    specification, platform = DOCUMENTS
    with pytest.raises(ValueError, match="it is a PipelineJob; the server takes the pipelineSpec inside it"):
        check({"pipelineSpec": specification}, platform)
