import json
import pathlib

import pytest

from components.errors import InputError
from pipeline.config.loading import load_config
from pipeline.kubeflow.run_parameters import assign, run_parameters

CONFIGS = pathlib.Path(__file__).parents[3] / "configs"


def test_every_run_parameter_has_the_configuration_s_value():
    two = (
        "distillations=[{name: warm, method: kd, temperature: 2.5},"
        " {name: very-hot, method: kd, student_loss_weight: 0.25}]"
    )
    overrides = [two, "data.data_dir=/data", "push.directory=/models"]
    config = load_config(CONFIGS / "mnist.yaml", overrides=overrides)
    assert {parameter.name: parameter.default for parameter in run_parameters(config)} == {
        "data_location": "/data",
        "teacher_epochs": 20,
        "student_epochs": 5,
        "push_directory": "/models",
        "warm_temperature": 2.5,
        "warm_student_loss_weight": 0.1,
        "very_hot_temperature": 2.0,
        "very_hot_student_loss_weight": 0.25,
    }


def test_students_share_their_epochs_and_nothing_else():
    two = "distillations=[{name: warm, method: kd}, {name: very-hot, method: kd}]"
    config = load_config(CONFIGS / "digits.yaml", overrides=[two])
    nodes = {parameter.name: set(parameter.paths) for parameter in run_parameters(config)}
    assert nodes["student_epochs"] == {"Look", "Scratch", "Distiller-warm", "Distiller-very-hot"}
    assert nodes["warm_temperature"] == {"Look", "Distiller-warm"}
    assert nodes["teacher_epochs"] == {"Look", "Teacher"}
    assert "data_location" not in nodes  # The digits come with scikit-learn.


def test_the_newest_span_is_a_parameter_where_data_come_in_spans():
    def paths_of(data):
        config = load_config(CONFIGS / "digits.yaml", overrides=[f"data={{source: image_folder, {data}}}"])
        return {parameter.name: (parameter.default, parameter.paths) for parameter in run_parameters(config)}

    assert paths_of("path: '/data/{SPAN}', window: 7")["span"] == ("", {"Look": "configuration.data.span"})
    assert "span" not in paths_of("path: /data")


@pytest.mark.parametrize("halving", [False, True])
def test_a_key_of_several_values_is_no_parameter_and_the_others_reach_every_variant(halving):
    overrides = ["distillations.0.temperature=[2, 4]", f"search.halving={halving}"]
    config = load_config(CONFIGS / "digits.yaml", overrides=overrides)
    paths = {parameter.name: parameter.paths for parameter in run_parameters(config)}
    assert "distilled_temperature" not in paths
    distillers = {"Distiller-distilled-T2", "Distiller-distilled-T4"}
    distillers = {"Distiller-distilled"} if halving else distillers
    assert paths["distilled_student_loss_weight"] == dict.fromkeys(
        distillers, "distillation.student_loss_weight"
    ) | {"Look": "configuration.distillations.0.student_loss_weight"}
    assert set(paths["student_epochs"]) == distillers | {"Look", "Scratch"}


def test_only_teachers_that_are_trained_have_epochs():
    trained = "{architecture: digits_teacher, epochs: 3, batch_size: 32, learning_rate: 0.001}"

    def epochs_of(teacher):
        config = load_config(CONFIGS / "digits.yaml", overrides=[f"teacher={teacher}"])
        return {
            parameter.name: (parameter.default, set(parameter.paths))
            for parameter in run_parameters(config)
            if parameter.name.startswith("teacher")
        }

    assert epochs_of("{from: x.keras}") == {}
    assert epochs_of(f"[{{from: x.keras}}, {trained}]") == {"teacher_2_epochs": (3, {"Look", "Teacher-2"})}


def test_look_is_told_of_every_parameter_where_the_configuration_has_it():
    two = "distillations=[{name: warm, method: kd}, {name: very-hot, method: kd, temperature: 3.5}]"
    trained = "{architecture: digits_teacher, epochs: 3, batch_size: 32, learning_rate: 0.001}"
    data = "data={source: image_folder, path: '/data/{SPAN}'}"
    config = load_config(CONFIGS / "digits.yaml", overrides=[two, f"teacher=[{trained}, {trained}]", data])
    other = {"data_location": "/photos/{SPAN}", "span": "7", "push_directory": "/models"}
    properties = {"configuration": json.dumps(config.to_record())}
    for parameter in run_parameters(config):
        value = other.get(parameter.name, 11.0)
        properties = assign(properties, path=parameter.paths["Look"], value=value)

    record = json.loads(properties["configuration"])

    assert (record["data"]["path"], record["data"]["span"]) == ("/photos/{SPAN}", "7")
    assert record["push"]["directory"] == "/models"
    assert [each["epochs"] for each in (*record["teacher"], record["student"])] == [11, 11, 11]
    assert [each["temperature"] for each in record["distillations"]] == [11.0, 11.0]
    assert config.to_record()["distillations"][1]["temperature"] == 3.5


def test_a_value_reaches_through_texts_that_are_json():
    inner = json.dumps({"model": {"epochs": 30, "batch_size": 32}, "seed": 1})
    properties = {"custom_config": json.dumps({"job": inner}), "run_fn": "module.function"}
    changed = assign(properties, path="custom_config.job.model.epochs", value=6.0)
    assert json.loads(json.loads(changed["custom_config"])["job"]) == {
        "model": {"epochs": 6, "batch_size": 32},
        "seed": 1,
    }
    assert changed["run_fn"] == "module.function"
    assert json.loads(json.loads(properties["custom_config"])["job"])["model"]["epochs"] == 30


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        (30, 6.0, "6"),
        (2.0, 6.0, "6.0"),
        (None, "/data", '"/data"'),
        ("/old", "", '"/old"'),
    ],
)
def test_a_number_keeps_its_kind_and_an_empty_text_changes_nothing(before, value, after):
    changed = assign({"data": json.dumps({"key": before})}, path="data.key", value=value)
    assert changed["data"] == f'{{"key": {after}}}'


def test_a_share_of_a_whole_number_is_refused():
    with pytest.raises(InputError, match=r"^got 6.5; it must be a whole number$"):
        assign({"data": '{"key": 30}'}, path="data.key", value=6.5)


def test_whoever_reads_what_ships_is_told_of_another_push_directory():
    def paths(*overrides):
        config = load_config(CONFIGS / "digits.yaml", overrides=overrides)
        (found,) = (each.paths for each in run_parameters(config) if each.name == "push_directory")
        return found

    always = {
        "Look": "configuration.push.directory",
        "ExampleValidator": "versions_directory",
        "Evaluator": "versions_directory",
        "Pusher": "push.directory",
    }
    assert paths() == always
    assert paths("retraining={student_start: champion, keep_teacher: {min_accuracy: 0.9}}") == always | {
        "Teacher": "custom_config.job.keeping.directory",
        "Scratch": "custom_config.job.start.directory",
        "Distiller-distilled": "job.start.directory",
    }
