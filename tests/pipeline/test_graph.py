import json
import pathlib

import pytest

from pipeline.config.experiment import Config
from pipeline.config.loading import load_config
from pipeline.graph import create_pipeline

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"

TRAINING_INPUTS = {"Transform", "SchemaGen", "StatisticsGen"}
EDGES = {
    "ExampleGen": set(),
    "StatisticsGen": {"ExampleGen"},
    "SchemaGen": {"StatisticsGen", "ExampleGen"},
    "ExampleValidator": {"StatisticsGen", "SchemaGen", "ExampleGen"},
    "Transform": {"ExampleGen", "SchemaGen", "ExampleValidator"},
    "Teacher": TRAINING_INPUTS,
    "Scratch": TRAINING_INPUTS,
    "TeacherPredictions": {"Transform", "Teacher"},
    "Distiller-warm": TRAINING_INPUTS | {"Teacher", "TeacherPredictions"},
    "Distiller-very-hot": TRAINING_INPUTS | {"Teacher", "TeacherPredictions"},
    "Evaluator": {"Transform", "SchemaGen", "ExampleValidator", "Teacher", "TeacherPredictions", "Scratch"}
    | {"Distiller-warm", "Distiller-very-hot"},
    "Pusher": {"Evaluator"},
}


@pytest.fixture(scope="module")
def config() -> Config:
    two = (
        "distillations=[{name: warm, method: kd, temperature: 2},"
        " {name: very_hot, method: kd, temperature: 20}]"
    )
    return load_config(CONFIGS / "digits.yaml", overrides=[two])


def test_the_graph_has_the_nodes_and_edges_of_the_design(config: Config) -> None:
    pipeline = create_pipeline(config, root="/root", push_directory="/pushed")

    edges = {node.id: {upstream.id for upstream in node.upstream_nodes} for node in pipeline.components}

    assert edges == EDGES


def test_a_teacher_in_the_training_step_needs_no_stored_predictions() -> None:
    config = load_config(CONFIGS / "digits.yaml", overrides=["teacher_predictions=online"])

    nodes = create_pipeline(config, root="/root", push_directory="/pushed").components

    edges = {node.id: {upstream.id for upstream in node.upstream_nodes} for node in nodes}
    assert set(edges) == set(config.node_ids)
    assert "TeacherPredictions" not in edges
    assert edges["Distiller-distilled"] == TRAINING_INPUTS | {"Teacher"}


def test_a_hint_asks_the_teacher_itself_whatever_is_stored() -> None:
    two = (
        "distillations=[{name: warm, method: kd},"
        " {name: hinted, method: hint, teacher_layer: dense, student_layer: dense}]"
    )
    config = load_config(CONFIGS / "digits.yaml", overrides=[two])

    nodes = create_pipeline(config, root="/root", push_directory="/pushed").components

    edges = {node.id: {upstream.id for upstream in node.upstream_nodes} for node in nodes}
    assert edges["Distiller-warm"] == TRAINING_INPUTS | {"Teacher", "TeacherPredictions"}
    assert edges["Distiller-hinted"] == TRAINING_INPUTS | {"Teacher"}
    alone = load_config(CONFIGS / "digits.yaml", overrides=[two, "distillations.0.name=other"])
    assert "TeacherPredictions" in alone.node_ids


SEARCH = "distillations.0.temperature=[2, 4]"


def test_variants_are_trained_side_by_side_and_the_evaluator_sees_them_all() -> None:
    config = load_config(CONFIGS / "digits.yaml", overrides=[SEARCH])

    nodes = {n.id: n for n in create_pipeline(config, root="/root", push_directory="/pushed").components}

    edges = {name: {upstream.id for upstream in node.upstream_nodes} for name, node in nodes.items()}
    assert sorted(edges) == sorted(config.node_ids)
    distillers = {"Distiller-distilled-T2", "Distiller-distilled-T4"}
    assert distillers < edges["Evaluator"]
    for name in distillers:
        assert edges[name] == TRAINING_INPUTS | {"Teacher", "TeacherPredictions"}
    assert json.loads(nodes["Evaluator"].exec_properties["students"]) == {
        "distilled": {"distilled-T2": {"temperature": 2.0}, "distilled-T4": {"temperature": 4.0}}
    }
    distillation = json.loads(nodes["Distiller-distilled-T4"].exec_properties["distillation"])
    assert (distillation["temperature"], distillation["student_loss_weight"]) == (4.0, 0.1)
    # Only what is part of a search may diverge.
    assert nodes["Distiller-distilled-T4"].exec_properties["may_diverge"] == 1
    plain = create_pipeline(load_config(CONFIGS / "digits.yaml"), root="/root", push_directory="/pushed")
    (distiller,) = (node for node in plain.components if node.id == "Distiller-distilled")
    assert distiller.exec_properties["may_diverge"] is None


def test_a_further_value_leaves_what_the_other_variants_are_told() -> None:
    configs = (
        load_config(CONFIGS / "digits.yaml", overrides=[override])
        for override in (SEARCH, "distillations.0.temperature=[8, 4, 2]")
    )

    few, more = (
        {
            node.id: node.exec_properties
            for node in create_pipeline(config, root="/root", push_directory="/pushed").components
        }
        for config in configs
    )

    assert more.keys() - few.keys() == {"Distiller-distilled-T8"}
    assert {name for name in few if few[name] != more[name]} == {"Evaluator"}


def test_with_halving_one_node_trains_all_variants() -> None:
    config = load_config(CONFIGS / "digits.yaml", overrides=[SEARCH, "search.halving=true"])

    nodes = {n.id: n for n in create_pipeline(config, root="/root", push_directory="/pushed").components}

    assert sorted(nodes) == sorted(config.node_ids)
    (distiller,) = (node for name, node in nodes.items() if name.startswith("Distiller"))
    assert distiller.id == "Distiller-distilled"
    assert json.loads(distiller.exec_properties["variants"]) == {
        "distilled-T2": {"temperature": 2.0},
        "distilled-T4": {"temperature": 4.0},
    }
    assert json.loads(nodes["Evaluator"].exec_properties["students"]) == {"distilled": {"distilled": {}}}


def test_without_labels_a_teacher_in_the_training_step_has_its_predictions_stored_too() -> None:
    """They stand for the labels, in the histories and where the best epoch is chosen."""
    config = load_config(
        CONFIGS / "digits.yaml",
        overrides=[
            "data={source: digits, labels: false}",
            "teacher={from: teacher.keras}",
            "teacher_predictions=online",
            "distillations=[{name: distilled, method: kd, student_loss_weight: 0}]",
        ],
    )

    nodes = create_pipeline(config, root="/root", push_directory="/pushed").components

    (distiller,) = (node for node in nodes if node.id == "Distiller-distilled")
    assert "TeacherPredictions" in {upstream.id for upstream in distiller.upstream_nodes}
    assert distiller.exec_properties["asks_teacher"]
    assert {node.id for node in nodes} == set(config.node_ids)


def test_images_without_labels_reach_transform_the_predictions_and_the_students_alone() -> None:
    """Nothing of the Teacher and of Scratch changes: they are the same models with and without them."""
    without, beside = (
        {
            node.id: node
            for node in create_pipeline(
                load_config(CONFIGS / "mnist.yaml", overrides=overrides),
                root="/root",
                push_directory="/pushed",
            ).components
        }
        for overrides in ([], ["data.unlabelled=photos"])
    )

    changed = {name for name, node in beside.items() if node.exec_properties != without[name].exec_properties}

    assert changed == {"ExampleGen", "ExampleValidator", "Transform", "TeacherPredictions"}
    assert json.loads(beside["TeacherPredictions"].exec_properties["splits"]) == ["train", "unlabelled"]
    assert json.loads(beside["ExampleValidator"].exec_properties["exclude_splits"]) == ["unlabelled"]
    splits = json.loads(beside["Transform"].exec_properties["splits_config"])
    assert splits == {"analyze": ["train"], "transform": ["train", "validation", "test", "unlabelled"]}


def test_augmentation_reaches_every_model_that_is_trained() -> None:
    online = "teacher_predictions=online"
    plain, augmented = (
        create_pipeline(
            load_config(CONFIGS / "digits.yaml", overrides=overrides), root="/root", push_directory="/pushed"
        ).components
        for overrides in ([online], [online, "augment.shift=0.1"])
    )

    changed = {
        before.id
        for before, after in zip(plain, augmented, strict=True)
        if before.exec_properties != after.exec_properties
    }

    # What the Evaluator may advise has changed too.
    assert changed == {"Teacher", "Scratch", "Distiller-distilled", "Evaluator"}


def test_views_reach_the_students_and_the_predictions_but_not_the_teacher() -> None:
    def changed(*overrides: str) -> set[str]:
        """The nodes that run again when an experiment with views is changed."""
        views = ["teacher_predictions.views=4", "augment.shift=0.1"]
        before, after = (
            create_pipeline(
                load_config(CONFIGS / "digits.yaml", overrides=[*views, *added]),
                root="/root",
                push_directory="/pushed",
            ).components
            for added in ((), overrides)
        )
        return {
            node.id
            for node, other in zip(before, after, strict=True)
            if node.exec_properties != other.exec_properties
        }

    students = {"Scratch", "Distiller-distilled"}
    assert changed("teacher_predictions.views=8") == students | {"TeacherPredictions"}
    assert changed("teacher_predictions.top_k=3") == {"TeacherPredictions"}
    assert changed("augment.shift=0.2") == students | {"TeacherPredictions", "Teacher"}
    assert changed("seed=5") == students | {"TeacherPredictions", "Teacher"}
    assert changed("distillations.0.temperature=9") == {"Distiller-distilled"}


def test_node_ids_names_every_node_in_an_order_that_can_run(config: Config) -> None:
    ids = config.node_ids

    assert sorted(ids) == sorted(EDGES)
    for position, node in enumerate(ids):
        assert EDGES[node] <= set(ids[:position])


def test_a_teacher_that_is_pretrained_is_not_trained() -> None:
    config = load_config(CONFIGS / "digits.yaml", overrides=["teacher={from: teacher.keras}"])

    pipeline = create_pipeline(
        config, root="/root", push_directory="/pushed", fingerprints={"teacher": "of-the-file"}
    )

    (teacher,) = (node for node in pipeline.components if node.id == "Teacher")
    assert {node.id for node in teacher.upstream_nodes} == {"Transform", "SchemaGen"}
    assert "of-the-file" in str(teacher.exec_properties)


@pytest.mark.parametrize("teacher", ["{predictions: teacher.npz}", "{from: teacher.onnx}"])
def test_a_teacher_of_any_framework_is_known_by_its_predictions_alone(teacher: str) -> None:
    config = load_config(CONFIGS / "digits.yaml", overrides=[f"teacher={teacher}"])

    pipeline = create_pipeline(
        config, root="/root", push_directory="/pushed", fingerprints={"teacher": "of-the-file"}
    )

    nodes = {node.id: node for node in pipeline.components}
    edges = {name: {upstream.id for upstream in node.upstream_nodes} for name, node in nodes.items()}
    assert sorted(nodes) == sorted(config.node_ids)
    assert "Teacher" not in nodes
    assert edges["TeacherPredictions"] == {"Transform", "SchemaGen"}
    # What is wrong with the predictions is told before anything is trained.
    assert [name for name in nodes if name in ("Scratch", "TeacherPredictions")] == list(config.node_ids[5:7])
    assert edges["Scratch"] == edges["Distiller-distilled"] == TRAINING_INPUTS | {"TeacherPredictions"}
    assert edges["Evaluator"] == {
        *("Transform", "SchemaGen", "ExampleValidator", "Scratch", "TeacherPredictions"),
        "Distiller-distilled",
    }
    assert [name for name, node in nodes.items() if "of-the-file" in str(node.exec_properties)] == [
        "TeacherPredictions"
    ]


def test_several_teachers_are_averaged_by_a_node_of_their_own() -> None:
    trained = "{architecture: digits_teacher, epochs: 1, batch_size: 32, learning_rate: 0.001}"
    config = load_config(
        CONFIGS / "digits.yaml", overrides=[f"teacher=[{trained}, {{from: teacher.keras}}, {trained}]"]
    )

    pipeline = create_pipeline(
        config, root="/root", push_directory="/pushed", fingerprints={"teacher-2": "of-the-file"}
    )

    nodes = {node.id: node for node in pipeline.components}
    edges = {name: {upstream.id for upstream in node.upstream_nodes} for name, node in nodes.items()}
    assert sorted(nodes) == sorted(config.node_ids)
    assert config.node_ids[5:9] == ("Teacher-1", "Teacher-2", "Teacher-3", "Teacher")
    assert edges["Teacher-1"] == edges["Teacher-3"] == TRAINING_INPUTS
    assert edges["Teacher-2"] == {"Transform", "SchemaGen"}
    assert edges["Teacher"] == {"Teacher-1", "Teacher-2", "Teacher-3", "Transform", "SchemaGen"}
    assert edges["TeacherPredictions"] == EDGES["TeacherPredictions"]
    assert "of-the-file" in str(nodes["Teacher-2"].exec_properties)
    # Of one architecture, they must not become the same model.
    first, third = (
        json.loads(nodes[name].exec_properties["custom_config"])["job"] for name in ("Teacher-1", "Teacher-3")
    )
    assert first["seed"] != third["seed"]


def test_transform_is_given_the_size_of_the_images_as_plain_json(config: Config) -> None:
    pipeline = create_pipeline(config, root="/root", push_directory="/pushed")

    (transform,) = (node for node in pipeline.components if node.id == "Transform")
    given = json.loads(transform.exec_properties["custom_config"])
    assert given == {"image": {"height": 8, "width": 8, "channels": 1, "resize": "stretch"}}


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("distillations.0.temperature=3", {"Distiller-warm"}),
        ("student.epochs=7", {"Scratch", "Distiller-warm", "Distiller-very-hot"}),
        ("teacher.epochs=7", {"Teacher"}),
        ("seed=7", {"Teacher", "Scratch", "Distiller-warm", "Distiller-very-hot"}),
        ("evaluation.min_accuracy=0.5", {"Evaluator"}),
        ("evaluation.significance_level=0.01", {"ExampleValidator", "Evaluator"}),
        ("drift.warn=0.05", {"ExampleValidator", "Evaluator"}),
        ("duplicates=refuse", {"ExampleValidator"}),
        (
            "image.height=9",
            set(EDGES) & {"Transform", "Teacher", "Scratch", "TeacherPredictions"}
            | {"Distiller-warm", "Distiller-very-hot"},
        ),
        ("data.max_corrupt_fraction=0.5", {"ExampleGen"}),
        (
            "class_weights=balanced",
            {"ExampleValidator", "Teacher", "Scratch", "Distiller-warm", "Distiller-very-hot"},
        ),
    ],
)
def test_a_setting_changes_the_parameters_of_the_nodes_that_use_it_alone(
    config: Config, override: str, changed: set[str]
) -> None:
    """What a node is told is what its cache goes by."""
    two = (
        "distillations=[{name: warm, method: kd, temperature: 2},"
        " {name: very_hot, method: kd, temperature: 20}]"
    )
    other = load_config(CONFIGS / "digits.yaml", overrides=[two, override])

    before, after = (
        {node.id: node.exec_properties for node in graph.components}
        for graph in (create_pipeline(c, root="/root", push_directory="/pushed") for c in (config, other))
    )

    assert {node for node in before if before[node] != after[node]} == changed


def test_fingerprints_reach_the_nodes_whose_cache_they_guard(config: Config) -> None:
    fingerprints = {"data": "of-the-data", "teacher": "of-the-teacher", "student": "of-the-student"}
    fingerprints["incumbent"] = "of-the-incumbent"

    pipeline = create_pipeline(config, root="/root", push_directory="/pushed", fingerprints=fingerprints)

    found = {
        (node.id, name)
        for node in pipeline.components
        for name, value in fingerprints.items()
        if value in str(node.exec_properties)
    }
    assert found == {
        ("ExampleGen", "data"),
        ("Teacher", "teacher"),
        ("Scratch", "student"),
        ("Distiller-warm", "student"),
        ("Distiller-very-hot", "student"),
        ("ExampleValidator", "incumbent"),
        ("Evaluator", "incumbent"),
        ("Pusher", "incumbent"),
    }


def test_what_earlier_runs_left_is_part_of_the_cache_of_the_nodes_that_take_it_over() -> None:
    taking_over = "retraining={student_start: champion, keep_teacher: {min_accuracy: 0.9, runs: 3}}"
    config = load_config(CONFIGS / "digits.yaml", overrides=[taking_over])
    fingerprints = {"incumbent": "17", "start": "16", "kept_teacher": "of-the-teacher"}

    pipeline = create_pipeline(config, root="/root", push_directory="/pushed", fingerprints=fingerprints)

    properties = {node.id: str(node.exec_properties) for node in pipeline.components}
    starts = [
        node for node, text in properties.items() if '"version":"16"' in text or '"version": "16"' in text
    ]
    assert starts == ["Scratch", "Distiller-distilled"]
    assert [node for node, text in properties.items() if "of-the-teacher" in text] == ["Teacher"]
    (pusher,) = (node for node in pipeline.components if node.id == "Pusher")
    assert {"Teacher", "Evaluator"} == {node.id for node in pusher.upstream_nodes}


def test_without_labels_nothing_is_trained_but_the_students() -> None:
    overrides = (
        "data={source: digits, labels: false}",
        "teacher={from: teacher.keras}",
        "distillations=[{name: warm, method: kd, student_loss_weight: 0}]",
    )
    config = load_config(CONFIGS / "digits.yaml", overrides=overrides)

    pipeline = create_pipeline(config, root="/root", push_directory="/pushed")

    edges = {node.id: {upstream.id for upstream in node.upstream_nodes} for node in pipeline.components}
    distiller = {"Distiller-warm": TRAINING_INPUTS | {"Teacher", "TeacherPredictions"}}
    fixed = {node: EDGES[node] for node in EDGES if node not in ("Scratch", "Teacher", "Distiller-very-hot")}
    teacher = {"Teacher": edges["Teacher"]}
    evaluator = {"Evaluator": EDGES["Evaluator"] - {"Scratch", "Distiller-very-hot"}}
    assert edges == fixed | teacher | distiller | evaluator
    assert sorted(edges) == sorted(config.node_ids)
    splits = {node.id: node.exec_properties.get("splits") for node in pipeline.components}
    assert splits["TeacherPredictions"] == '["train", "validation"]'
