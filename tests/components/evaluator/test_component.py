import json

import pytest
import yaml
from tfx import v1 as tfx
from tfx.types import standard_artifacts

from components.evaluator.component import Evaluator
from components.evaluator.kubeflow_page import OUTPUTS
from components.settings.data_checks import DriftSettings
from components.settings.evaluation import EvaluationSettings


@pytest.fixture
def nodes():
    """An Evaluator of a student in two variants, and the nodes that its inputs come from."""
    types = {"examples": standard_artifacts.Examples, "schema": standard_artifacts.Schema}
    types["anomalies"] = standard_artifacts.ExampleAnomalies
    names = ("teacher", "scratch", "kd_t4", "kd-t2")
    types |= dict.fromkeys(names, standard_artifacts.Model)
    types |= {f"{name}_run": standard_artifacts.ModelRun for name in names}
    importers = {
        name: tfx.dsl.Importer(source_uri=f"/data/{name}", artifact_type=artifact_type).with_id(
            name.replace("_", "-")
        )
        for name, artifact_type in types.items()
    }
    channels = {name: importer.outputs["result"] for name, importer in importers.items()}
    evaluator = Evaluator(
        **{name: channels[name] for name in ("examples", "schema", "anomalies")},
        teacher=(channels["teacher"], channels["teacher_run"]),
        teacher_predictions=None,
        scratch=(channels["scratch"], channels["scratch_run"]),
        distillers={name: (channels[name], channels[f"{name}_run"]) for name in ("kd_t4", "kd-t2")},
        students={"kd": {"kd_t4": {"temperature": 4.0}, "kd-t2": {"temperature": 2.0}}},
        evaluation=EvaluationSettings(min_accuracy=0.9),
        levers=("augment",),
        drift=DriftSettings(warn=0.2),
        push_directory="/pushed",
    )
    return [*importers.values(), evaluator]


def test_every_student_has_inputs_of_its_own(nodes):
    evaluator = nodes[-1]
    assert set(evaluator.inputs) == {
        *("examples", "schema", "anomalies", "teacher", "teacher_run", "scratch", "scratch_run"),
        *("student_kd_t4", "run_kd_t4", "student_kd-t2", "run_kd-t2"),
    }
    assert evaluator.inputs["student_kd_t4"].type is standard_artifacts.Model
    assert evaluator.inputs["run_kd-t2"].type is standard_artifacts.ModelRun
    assert {key: channel.type for key, channel in evaluator.outputs.items()} == {
        "evaluation": standard_artifacts.ModelEvaluation,
        "blessing": standard_artifacts.ModelBlessing,
        "model": standard_artifacts.Model,
        **OUTPUTS,
    }
    assert json.loads(evaluator.exec_properties["levers"]) == ["augment"]
    assert DriftSettings.model_validate_json(evaluator.exec_properties["drift"]) == DriftSettings(warn=0.2)
    assert json.loads(evaluator.exec_properties["students"]) == {
        "kd": {"kd_t4": {"temperature": 4.0}, "kd-t2": {"temperature": 2.0}}
    }
    assert EvaluationSettings.model_validate_json(
        evaluator.exec_properties["evaluation_settings"]
    ) == EvaluationSettings(min_accuracy=0.9)


def test_two_evaluators_do_not_share_inputs(nodes):
    assert "student_kd_t4" not in Evaluator.SPEC_CLASS.INPUTS


def test_kubeflow_compiles_it(nodes, tmp_path):
    pipeline = tfx.dsl.Pipeline(pipeline_name="test", pipeline_root="/root", components=nodes)
    runner = tfx.orchestration.experimental.KubeflowV2DagRunner(
        tfx.orchestration.experimental.KubeflowV2DagRunnerConfig(use_pipeline_spec_2_1=True),
        output_dir=str(tmp_path),
        output_filename="pipeline.yaml",
    )
    runner.run(pipeline)
    spec = yaml.safe_load((tmp_path / "pipeline.yaml").read_text())
    (task,) = (task for name, task in spec["root"]["dag"]["tasks"].items() if name == "Evaluator")
    artifacts = task["inputs"]["artifacts"]
    assert artifacts["student_kd-t2"]["taskOutputArtifact"]["producerTask"] == "kd-t2"
    assert artifacts["run_kd_t4"]["taskOutputArtifact"]["producerTask"] == "kd-t4-run"
