import pathlib

import pytest

from pipeline.config.loading import ConfigError, load_config

DIGITS = pathlib.Path(__file__).parents[3] / "configs" / "digits.yaml"


def settings(*overrides: str):
    return load_config(DIGITS, overrides=overrides).kubeflow


def test_training_nodes_alone_have_a_gpu_each():
    gpus = {node: settings().of_node(node).gpus for node in ("Teacher", "TeacherPredictions", "Scratch")}
    assert gpus == {"Teacher": 1, "TeacherPredictions": 1, "Scratch": 1}
    assert settings().of_node("Distiller-distilled").gpus == 1
    assert settings().of_node("Teacher-2").gpus == 1
    for node in ("ExampleGen", "StatisticsGen", "SchemaGen", "Transform", "Evaluator", "Pusher"):
        assert settings().of_node(node).gpus == 0


def test_look_alone_is_not_cached_and_others_are_unless_one_says_so():
    assert settings().of_node("Look").cache is False
    assert settings().of_node("ExampleGen").cache is True
    assert settings("kubeflow.every_node.cache=true").of_node("Look").cache is False
    assert settings("kubeflow.nodes.ExampleGen.cache=false").of_node("ExampleGen").cache is False


def test_look_sees_the_volumes_and_secrets_of_those_whose_files_it_looks_at():
    def seen(*overrides):
        config = load_config(DIGITS, overrides=overrides)
        look = config.kubeflow.with_look(config.nodes_with_files).of_node("Look")
        assert not look.gpus
        mounted = {volume.mount_path: volume.claim for volume in look.volumes}
        return mounted, [secret.name for secret in look.secrets]

    nodes = (
        "kubeflow.nodes={ExampleGen: {volumes: [{claim: photos, mount_path: /data}]}, "
        "Evaluator: {volumes: [{claim: models, mount_path: /models}]}, "
        "ExampleValidator: {volumes: [{claim: models, mount_path: /models}]}, "
        "Pusher: {volumes: [{claim: models, mount_path: /models}, {claim: other, mount_path: /data}], "
        "secrets: [{name: store, variables: {key: KEY}}]}, "
        "Teacher: {volumes: [{claim: teachers, mount_path: /teachers}]}%s}"
    )
    assert seen(nodes % "") == ({"/data": "photos", "/models": "models"}, ["store"])
    file = "teacher={from: /teachers/one.keras}"
    assert seen(nodes % "", file)[0] == {"/data": "photos", "/models": "models", "/teachers": "teachers"}
    own = ", Look: {volumes: [{claim: mine, mount_path: /data}], secrets: [{name: key, mount_path: /key}]}"
    assert seen(nodes % own) == ({"/data": "mine", "/models": "models"}, ["key", "store"])
    assert seen("kubeflow.every_node.volumes=[{claim: all, mount_path: /all}]") == ({"/all": "all"}, [])


def test_the_more_particular_setting_goes_first():
    kubeflow = settings(
        "kubeflow.every_node.memory=1Gi",
        "kubeflow.training_nodes.memory=2Gi",
        "kubeflow.nodes.Teacher.memory=3Gi",
        "kubeflow.nodes.Teacher.volumes=[{claim: data, mount_path: /data}]",
    )
    assert kubeflow.of_node("Pusher").memory == "1Gi"
    assert kubeflow.of_node("Scratch").memory == "2Gi"
    assert kubeflow.of_node("Teacher").memory == "3Gi"
    assert kubeflow.of_node("Teacher").cpu == "4"
    assert [volume.claim for volume in kubeflow.of_node("Teacher").volumes] == ["data"]
    assert kubeflow.of_node("Scratch").volumes is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "kubeflow.every_node.cpu=two",
            "kubeflow.every_node.cpu: got 'two'; must be a number of cores as text",
        ),
        ("kubeflow.every_node.cpu=2", "kubeflow.every_node.cpu: got 2; must be a valid string"),
        (
            "kubeflow.every_node.memory='8'",
            "kubeflow.every_node.memory: got '8'; must be an amount of memory",
        ),
        ("kubeflow.pipeline_root=/tmp", "kubeflow.pipeline_root: got '/tmp'; must be an object store's URI"),
        ("kubeflow.training_nodes.gpus=-1", "kubeflow.training_nodes.gpus: got -1; must be greater than"),
        ("kubeflow.every_node.gpu=1", "unknown key 'gpu'"),
        ("kubeflow.nodes.Techer.gpus=2", "kubeflow.nodes: there is no node 'Techer'; allowed: Look, "),
        (
            "kubeflow.nodes.Look.cache=true",
            "kubeflow: nodes.Look.cache: it looks whether anything is new, and so runs each time",
        ),
        ("kubeflow.nodes.Teacher.secrets=[{name: s3}]", "must have a mount_path or variables"),
        (
            "kubeflow.nodes.Teacher.volumes=[{claim: data, mount_path: data}]",
            "kubeflow.nodes.Teacher.volumes.0.mount_path: got 'data'; must be an absolute path",
        ),
        (
            "kubeflow={checkpoint_directory: /a, nodes: {Teacher: {volumes: [{claim: a, mount_path: /a}]}}}",
            "checkpoint_directory '/a' is on no volume of Scratch",
        ),
    ],
)
def test_mistakes_are_named(override, message):
    with pytest.raises(ConfigError) as caught:
        settings(override)
    assert message in str(caught.value)


PUSHED = "push.directory=/models/students"
ON_A_VOLUME = "volumes: [{claim: models, mount_path: /models}]"


@pytest.mark.parametrize(
    ("overrides", "blind"),
    [
        ([f"kubeflow.nodes={{Pusher: {{{ON_A_VOLUME}}}}}"], "ExampleValidator"),
        (
            [f"kubeflow.nodes={{Pusher: {{{ON_A_VOLUME}}}, ExampleValidator: {{{ON_A_VOLUME}}}}}"],
            "Evaluator",
        ),
        (
            [
                f"kubeflow={{every_node: {{{ON_A_VOLUME}}}, nodes: {{Scratch: {{volumes: []}}}}}}",
                "retraining.student_start=champion",
            ],
            "Scratch",
        ),
    ],
)
def test_a_volume_with_what_ships_is_mounted_where_it_is_read(overrides, blind):
    with pytest.raises(ConfigError) as caught:
        settings(PUSHED, *overrides)
    assert (
        f"push.directory '/models/students' is on a volume of Pusher, but on none of {blind}, which"
        in str(caught.value)
    )


def test_who_reads_nothing_of_what_ships_needs_no_volume():
    kubeflow = settings(
        PUSHED, f"kubeflow={{every_node: {{{ON_A_VOLUME}}}, nodes: {{Scratch: {{volumes: []}}}}}}"
    )
    assert kubeflow.of_node("Scratch").volumes == ()
