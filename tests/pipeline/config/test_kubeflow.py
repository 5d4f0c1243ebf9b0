import pathlib

import pytest

from components.errors import InputError
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


def look_settings(nodes, *overrides):
    config = load_config(DIGITS, overrides=[f"kubeflow.nodes={nodes}", *overrides])
    return config.kubeflow.with_look(config.nodes_with_files).of_node("Look")


def claims_of_look(nodes, *overrides):
    volumes = look_settings(nodes, *overrides).volumes
    mounted = {volume.mount_path: volume.claim for volume in volumes}
    assert len(mounted) == len(volumes)
    return mounted


def secrets_of_look(nodes, *overrides):
    """Where Look finds each secret: at a path, or by its key as a variable."""
    secrets = look_settings(nodes, *overrides).secrets
    found = [
        *((each.mount_path, (each.name,)) for each in secrets if each.mount_path),
        *((variable, (each.name, key)) for each in secrets for key, variable in each.variables.items()),
    ]
    assert len(dict(found)) == len(found)
    return dict(found)


FILES = (
    "{ExampleGen: {volumes: [{claim: photos, mount_path: /data}]}, "
    "Evaluator: {volumes: [{claim: models, mount_path: /models}]}, "
    "ExampleValidator: {volumes: [{claim: models, mount_path: /models}]}, "
    "Pusher: {volumes: [{claim: models, mount_path: /models}, {claim: other, mount_path: /data}], "
    "secrets: [{name: store, variables: {key: KEY}}]}, "
    "Teacher: {volumes: [{claim: teachers, mount_path: /teachers}]}%s}"
)


def test_look_sees_the_volumes_and_secrets_of_those_whose_files_it_looks_at():
    assert claims_of_look(FILES % "") == {"/data": "photos", "/models": "models"}
    assert secrets_of_look(FILES % "") == {"KEY": ("store", "key")}
    assert not look_settings(FILES % "").gpus
    file = "teacher={from: /teachers/one.keras}"
    assert claims_of_look(FILES % "", file) == {
        "/data": "photos",
        "/models": "models",
        "/teachers": "teachers",
    }
    own = ", Look: {volumes: [{claim: mine, mount_path: /data}], secrets: [{name: key, mount_path: /key}]}"
    assert claims_of_look(FILES % own) == {"/data": "mine", "/models": "models"}
    assert secrets_of_look(FILES % own) == {"/key": ("key",), "KEY": ("store", "key")}
    assert claims_of_look("{}", "kubeflow.every_node.volumes=[{claim: all, mount_path: /all}]") == {
        "/all": "all"
    }


def test_look_mounts_what_a_node_has_in_place_of_the_general_level():
    every_node = "kubeflow.every_node.volumes=[{claim: models, mount_path: /data}]"
    photos = "ExampleGen: {volumes: [{claim: photos, mount_path: %s}]}"
    assert claims_of_look(f"{{{photos % '/data'}}}", every_node) == {"/data": "photos"}
    assert claims_of_look(f"{{{photos % '/data/'}}}", every_node) == {"/data/": "photos"}
    own = "Look: {volumes: [{claim: mine, mount_path: /data}]}"
    assert claims_of_look(f"{{{photos % '/data'}, {own}}}", every_node) == {"/data": "mine"}


def test_look_may_mount_one_claim_or_secret_at_several_paths():
    nodes = (
        "{ExampleGen: {volumes: [{claim: all, mount_path: /data}], secrets: [{name: key, mount_path: /a}]}, "
        "Pusher: {volumes: [{claim: all, mount_path: /models}], secrets: [{name: key, mount_path: /b}]}}"
    )
    assert claims_of_look(nodes) == {"/data": "all", "/models": "all"}
    assert secrets_of_look(nodes) == {"/a": ("key",), "/b": ("key",)}


def test_look_has_each_secret_once():
    nodes = (
        "{ExampleGen: {secrets: [{name: s, mount_path: /s, variables: {k: K}}]}, "
        "Pusher: {secrets: [{name: s, variables: {k: K, l: L}}, {name: s, mount_path: /s/}]}}"
    )
    everyone = "kubeflow.every_node.secrets=[{name: other, mount_path: /s, variables: {x: K, y: M}}]"
    assert secrets_of_look(nodes, everyone) == {
        "/s": ("s",),
        "K": ("s", "k"),
        "L": ("s", "l"),
        "M": ("other", "y"),
    }


@pytest.mark.parametrize(
    ("of_data", "of_push", "given", "other"),
    [
        (
            "secrets: [{name: lake, variables: {id: AWS_ID}}]",
            "secrets: [{name: store, variables: {id: AWS_ID}}]",
            "'id' of the secret 'lake' as 'AWS_ID'",
            "'id' of the secret 'store' as 'AWS_ID'",
        ),
        (
            "secrets: [{name: lake, mount_path: /keys}]",
            "secrets: [{name: store, mount_path: /keys}]",
            "the secret 'lake' at '/keys'",
            "the secret 'store' at '/keys'",
        ),
        (
            "volumes: [{claim: lake, mount_path: /keys}]",
            "secrets: [{name: store, mount_path: /keys}]",
            "the claim 'lake' at '/keys'",
            "the secret 'store' at '/keys'",
        ),
    ],
)
def test_what_opens_one_thing_or_the_other_is_not_chosen_for_look(of_data, of_push, given, other):
    nodes = f"{{ExampleGen: {{{of_data}}}, Pusher: {{{of_push}}}%s}}"
    with pytest.raises(InputError) as caught:
        look_settings(nodes % "")
    assert str(caught.value) == (
        f"kubeflow.nodes: ExampleGen has {given}, and Pusher {other}, but Look reads what both do, and can "
        "have one; give it one that opens both, as kubeflow.nodes.Look.secrets."
    )
    own = ", Look: {secrets: [{name: both, variables: {id: AWS_ID}}, {name: both, mount_path: /keys}]}"
    assert secrets_of_look(nodes % own) == {"AWS_ID": ("both", "id"), "/keys": ("both",)}


def test_look_cannot_mount_a_claim_and_a_secret_of_one_name():
    nodes = (
        "{ExampleGen: {volumes: [{claim: store, mount_path: /data}]}, Pusher: {secrets: [{name: store, %s}]}}"
    )
    with pytest.raises(InputError, match="cannot mount the claim 'store' and a secret of that name in one"):
        look_settings(nodes % "mount_path: /keys")
    assert secrets_of_look(nodes % "variables: {id: ID}") == {"ID": ("store", "id")}


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
