import pathlib
import re

import pydantic
import pytest

from components.distiller.methods.kd import Kd
from components.errors import InputError
from components.example_gen.splitting import SplitFractions
from components.models import registry
from components.settings.models import (
    ContinuedModel,
    FineTunedModel,
    ModelSettings,
    OnnxTeacher,
    PredictedTeacher,
    PretrainedTeacher,
)
from components.settings.optimization import OneCycle, Sgd
from pipeline.config.experiment import Config
from pipeline.config.loading import ConfigError, load_config

CONFIGS = pathlib.Path(__file__).parents[3] / "configs"

COMPLETE = """
name: mnist
seed: 7
data:
  source: tfds
  dataset: mnist
  data_dir: null
  splits: {train: "train[:90%]", validation: "train[90%:]", test: test}
  max_corrupt_fraction: 0.2
image: {height: 28, width: 20, channels: 1}
teacher: {architecture: mnist_teacher, epochs: 20, batch_size: 64, learning_rate: 1e-3}
student: {architecture: mnist_student, epochs: 5, batch_size: 32, learning_rate: 0.001}
distillations:
  - {name: distilled, method: kd, temperature: 4.0, student_loss_weight: 0.1}
  - {name: hot, method: kd}
evaluation: {min_accuracy: 0.9}
push: {directory: null}
"""


VGG16 = "architecture: keras.applications.VGG16, epochs: 1, batch_size: 8, learning_rate: 0.1"


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "mnist.yaml"
    path.write_text(COMPLETE)
    return path


@pytest.fixture
def refusal(path):
    """Returns the message with which a change to the complete configuration is refused."""

    def load(*overrides: str) -> str:
        with pytest.raises(ConfigError) as caught:
            load_config(path, overrides=overrides)
        return str(caught.value).removeprefix(f"{path}: ")

    return load


def test_every_value_is_read(path):
    config = load_config(path)
    assert (config.name, config.seed) == ("mnist", 7)
    assert config.data.source == "tfds"
    assert (config.data.dataset, config.data.data_dir) == ("mnist", None)
    assert (config.data.splits.train, config.data.splits.test) == ("train[:90%]", "test")
    assert config.data.max_corrupt_fraction == 0.2
    assert config.image.shape == (28, 20, 1)
    assert config.teacher == ModelSettings(
        architecture="mnist_teacher", epochs=20, batch_size=64, learning_rate=0.001
    )
    assert [d.name for d in config.distillations] == ["distilled", "hot"]
    assert config.evaluation.min_accuracy == 0.9
    assert config.push.directory is None


@pytest.mark.parametrize(
    ("teacher", "kinds"),
    [
        ("{from: x.keras}", [PretrainedTeacher]),
        ("{from: x.onnx}", [OnnxTeacher]),
        ("{predictions: x.npz}", [PredictedTeacher]),
        (f"{{{VGG16}, weights: null}}", [FineTunedModel]),
        (f"[{{from: x.keras}}, {{{VGG16}, weights: vgg16.h5}}]", [PretrainedTeacher, FineTunedModel]),
    ],
)
def test_a_teacher_is_known_by_its_keys(teacher, kinds, path):
    config = load_config(path, overrides=[f"teacher={teacher}"])

    assert [type(each) for each in config.teachers.values()] == kinds
    assert Config.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize("teacher", ["{from: x.onnx}", "{predictions: x.npz}"])
@pytest.mark.parametrize(
    ("overrides", "problem", "advice"),
    [
        (["teacher_predictions=online"], "teacher_predictions: got 'online', which needs", "leave it out"),
        (["augment.shift=0.1"], "augment: needs a teacher that runs on the changed images", "leave it out"),
        (["teacher_predictions.top_k=3"], "teacher_predictions.top_k: cuts what is stored", "leave it out"),
        (["teacher_predictions=online", "augment.shift=0.1"], "augment: needs a teacher", "leave it out"),
        (
            ["teacher_predictions.views=8", "augment.shift=0.1"],
            "teacher_predictions.views: needs a teacher that runs on views",
            "leave it out, and augment",
        ),
        (
            ["distillations.1={name: h, method: hint, teacher_layer: a, student_layer: b}"],
            "distillations.1.method: got 'hint', which looks into the teacher",
            "choose dist, dkd, kd, logits_mse",
        ),
        (
            [
                "data.labelled_fraction=0.5",
                "distillations.1={name: h, method: hint, teacher_layer: a, student_layer: b}",
            ],
            "distillations.1.method: got 'hint', which looks into the teacher",
            "choose dist, kd, logits_mse",
        ),
        (["kubeflow.nodes.Teacher.gpus=0"], "kubeflow.nodes: there is no node 'Teacher'", "Scratch, "),
    ],
)  # fmt: skip
def test_what_needs_more_of_a_teacher_than_its_predictions_is_refused(
    teacher, overrides, problem, advice, refusal
):
    message = refusal(f"teacher={teacher}", *overrides)

    assert message.startswith(problem)
    assert advice in message
    assert "\n" not in message


def test_predictions_are_not_averaged_with_models(refusal):
    message = refusal("teacher=[{from: x.keras}, {predictions: x.npz}]")

    assert message.startswith("teacher: got several, of which Teacher-2 is known by its predictions alone")
    assert "teacher: {predictions: FILE}" in message


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_a_fine_tuned_model_asks_for_its_weights(role, refusal):
    assert refusal(f"{role}={{{VGG16}}}") == f"{role}.weights: is missing; add it"


def test_a_student_is_fine_tuned_like_a_teacher(path):
    config = load_config(path, overrides=[f"student={{{VGG16}, weights: x.h5}}"])

    assert isinstance(config.student, FineTunedModel)
    assert Config.model_validate_json(config.model_dump_json()) == config


def test_a_student_from_a_file_is_trained_and_a_teacher_from_one_is_not(path, refusal):
    trained = "epochs: 3, batch_size: 8, learning_rate: 0.001"
    config = load_config(path, overrides=[f"student={{from: x.keras, {trained}}}"])

    assert isinstance(config.student, ContinuedModel)
    assert (config.student.path, config.student.head_epochs) == ("x.keras", None)
    assert Config.model_validate_json(config.model_dump_json()) == config
    assert refusal("student={from: x.keras}").startswith("student.epochs: is missing; add it")
    assert refusal("teacher={from: x.keras, epochs: 3}").startswith("teacher: unknown key 'epochs'")
    assert refusal(
        f"student={{from: x.keras, {trained}, schedule: {{name: steps, milestones: [9]}}}}"
    ).startswith("student.schedule")


def test_a_key_of_one_of_several_teachers_is_overridden_by_its_index(path):
    config = load_config(
        path, overrides=[f"teacher=[{{from: x}}, {{{VGG16}, weights: null}}]", "teacher.1.epochs=7"]
    )
    assert config.teacher[1].epochs == 7


def test_defaults():
    config = load_config(CONFIGS / "digits.yaml")
    assert config.seed == 42
    assert config.data.max_corrupt_fraction == 0.1
    assert (config.hardware.precision, config.hardware.strategy) == ("float32", "single")
    distillation = Kd(name="hot", method="kd")
    assert (distillation.method, distillation.temperature, distillation.student_loss_weight) == (
        "kd",
        2.0,
        0.1,
    )


def test_only_folders_come_in_spans(refusal):
    message = refusal("data={source: image_list, path: '/data/{SPAN}.csv'}")
    assert message.startswith("data.path: got '/data/{SPAN}.csv', but only folders of images come in spans")


@pytest.mark.parametrize(
    ("path_of_data", "span", "name"),
    [("/data/{YYYY}-{MM}-{DD}", "2026-11-22", "2026-11-22"), ("/data/{SPAN}", "7", "7")],
)
def test_the_name_of_a_span_needs_no_quotes(path, path_of_data, span, name):
    overrides = [f"data={{source: image_folder, path: '{path_of_data}'}}", f"data.span={span}"]
    assert load_config(path, overrides=overrides).data.span == name


def test_what_is_wrong_with_spans_is_said_by_the_key(refusal):
    spans = "data={source: image_folder, path: '/data/{SPAN}'}"
    assert refusal(spans, "data.span=soon") == (
        "data.span: got 'soon'; must be a whole number, as data.path holds {SPAN}"
    )
    assert refusal(spans, "data.span=true").startswith("data.span: got True; ")
    assert refusal("data={source: image_folder, path: /data, window: 7}").startswith(
        "data.window: got 7; data.path is one folder; "
    )
    assert refusal("data={source: image_folder, path: '/data/{MM}'}").startswith(
        "data.path: got '/data/{MM}'; a path of spans holds {SPAN} once, or "
    )


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_committed_configuration_is_valid_and_opens_with_its_command(path):
    assert load_config(path).name == path.stem
    assert f"distill run configs/{path.name}" in path.read_text()


def test_configuration_is_frozen_and_survives_json(path):
    config = load_config(path)
    with pytest.raises(pydantic.ValidationError):
        config.seed = 1
    assert Config.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("override", "found"),
    [
        ("distillations.1.temperature=3", lambda config: config.distillations[1].base.temperature == 3.0),
        ("student.learning_rate=5e-4", lambda config: config.student.learning_rate == 0.0005),
        ("evaluation={min_accuracy: 0.5}", lambda config: config.evaluation.min_accuracy == 0.5),
        ("hardware.precision=mixed_bfloat16", lambda config: config.hardware.precision == "mixed_bfloat16"),
        ("teacher_predictions=online", lambda config: not config.stores_predictions),
        ("data.data_dir=/a=b", lambda config: config.data.data_dir == "/a=b"),
        (
            "distillations=[{name: one, method: kd}]",
            lambda config: [d.name for d in config.distillations] == ["one"],
        ),
    ],
)
def test_override_reaches_its_key(override, found, path):
    assert found(load_config(path, overrides=[override]))


def test_later_override_wins(path):
    assert load_config(path, overrides=["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "--set 'seed': expected KEY=VALUE, as in distillations.0.temperature=3"),
        ("=1", "--set '=1': expected KEY=VALUE, as in distillations.0.temperature=3"),
        ("seed=[1", "--set seed: '[1' is not a YAML value; quote it"),
        (
            "distillations.2.name=x",
            "--set distillations.2.name: '2' is no index of this list; allowed: 0 to 1",
        ),
        ("distillations.x=1", "--set distillations.x: 'x' is no index of this list; allowed: 0 to 1"),
        ("seed.low=1", "--set seed.low: 'seed' is a single value and has no 'low'"),
        ("seed.low.er=1", "--set seed.low.er: nothing lies below 'low'"),
    ],
)
def test_override_that_leads_nowhere_is_refused(override, message, refusal):
    assert refusal(override) == message


@pytest.mark.parametrize(
    ("override", "given", "allowed"),
    [
        ("name=a b", "name: got 'a b'", "letters, digits"),
        ("name=../x", "name: got '../x'", "letters, digits"),
        ("seed=-1", "seed: got -1", "greater than or equal to 0"),
        ("seed=1.5", "seed: got 1.5", "valid integer"),
        ("seed=true", "seed: got True", "valid integer"),
        ("data.source=s3", "data.source: got 's3'", "digits, image_folder, image_list, tfds"),
        ("data=digits", "data: got 'digits'", "must be a mapping"),
        ("data.dataset=''", "data.dataset: got ''", "at least 1 character"),
        ("data.path=x", "data: unknown key 'path'", "source, dataset"),
        ("data.max_corrupt_fraction=1.1", "data.max_corrupt_fraction: got 1.1", "less than or equal to 1"),
        ("data.splits={train: a, test: b}", "data.splits.validation: is missing", "add it"),
        ("image.channels=2", "image.channels: got 2", "1 or 3"),
        ("image.height=0", "image.height: got 0", "greater than 0"),
        ("image.width='28'", "image.width: got '28'", "valid integer"),
        ("teacher.epochs=0", "teacher.epochs: got 0", "greater than 0"),
        ("teacher.learning_rate=0", "teacher.learning_rate: got 0", "greater than 0"),
        ("teacher.learning_rate=.inf", "teacher.learning_rate: got inf", "finite number"),
        ("teacher.architecture=mnist_techer", "teacher.architecture: got", "did you mean 'mnist_teacher'?"),
        ("teacher.from=x", "teacher: unknown key 'architecture'", "allowed: from, outputs, pixels"),
        ("teacher={from: x, outputs: odds}", "teacher.outputs: got 'odds'", "'logits' or 'probabilities'"),
        ("teacher={from: x, pixels: bytes}", "teacher.pixels: got 'bytes'", "'minus_one_to_one'"),
        ("teacher={from: ''}", "teacher.from: got ''", "at least 1 character"),
        ("teacher={predictions: x.npz, outputs: logits}", "teacher: unknown key 'outputs'", "predictions"),
        ("teacher={predictions: ''}", "teacher.predictions: got ''", "at least 1 character"),
        ("teacher=[{from: x}]", "teacher: got [", "at least two teachers"),
        ("teacher=[{from: x}, 3]", "teacher.1: got 3", "must be a mapping"),
        ("teacher=[{from: x}, {from: y, epochs: 3}]", "teacher.1: unknown key 'epochs'", "allowed: from"),
        (f"teacher=[{{from: x}}, {{{VGG16}}}]", "teacher.1.weights: is missing", "add it"),
        (
            f"teacher={{{VGG16.replace('VGG16', 'mobilnetv2')}, weights: x}}",
            "teacher.architecture: got 'keras.applications.mobilnetv2'",
            "did you mean 'MobileNetV2'?",
        ),
        (
            f"teacher={{{VGG16}, weights: x, from: y}}",
            "teacher: unknown key 'architecture'",
            "allowed: from, outputs, pixels",
        ),
        (
            f"teacher={{{VGG16}, weights: x, freeze: 3}}",
            "teacher: unknown key 'freeze'",
            "weights, head_epochs, head_learning_rate",
        ),
        (
            f"teacher={{{VGG16}, weights: x, head_epochs: -1}}",
            "teacher.head_epochs: got -1",
            "greater than or equal to 0",
        ),
        ("student=mnist_student", "student: got 'mnist_student'", "must be a mapping"),
        ("studnet.epochs=1", "unknown key 'studnet'", "did you mean 'student'?"),
        ("student.optimizer=sdg", "student.optimizer.name: got 'sdg'", "allowed: adam, adamw, sgd"),
        (
            "student.optimizer={name: [sgd, adam]}",
            "student.optimizer.name: got \"['sgd', 'adam']\"",
            "adam, adamw",
        ),
        ("student.schedule={name: [cosine]}", "student.schedule.name: got \"['cosine']\"", "constant"),
        ("student.optimizer={momentum: 0.5}", "student.optimizer.name: is missing", "add it"),
        ("student.optimizer={name: sgd, momentum: 1}", "student.optimizer.momentum: got 1", "less than 1"),
        (
            "teacher.optimizer={name: adam, momentum: 0.5}",
            "teacher.optimizer: momentum belongs to sgd, not to adam",
            "",
        ),
        (
            "teacher.optimizer={name: adam, weight_decay: 0.5}",
            "teacher.optimizer: weight_decay belongs to adamw and sgd, not to adam",
            "",
        ),
        (
            "student={architecture: digits_student, epochs: 1, batch_size: 8, learning_rate: 0.1, "
            "optimizer: {name: sgd, weight_decay: 10}}",
            "student.optimizer: at a learning_rate of 0.1 a weight_decay of 10 takes all of each weight",
            "take less",
        ),
        ("teacher.optimizer={name: adam, beta: 1}", "teacher.optimizer: unknown key 'beta'", "allowed: name"),
        ("student.schedule=linear", "student.schedule.name: got 'linear'", "constant, cosine, one_cycle"),
        ("student.schedule=steps", "student.schedule.milestones: is missing", "add it"),
        ("student.schedule={name: steps, milestones: 3}", "student.schedule.milestones: got 3", "be a list"),
        ("student.schedule={name: steps, milestones: []}", "student.schedule.milestones: got []", "least 1"),
        (
            "student.schedule={name: steps, milestones: [3, 5]}",
            "student.schedule: after the milestone 5 nothing is left of the 5 epochs",
            "leave it out",
        ),
        (
            "student.schedule={name: steps, milestones: [3, 2]}",
            "student.schedule: the milestones 3, 2 must rise",
            "from each to the next",
        ),
        (
            "student.schedule={name: steps, milestones: [2, 4], warmup_epochs: 2.5}",
            "student.schedule: the milestone 2 lies within the 2.5 warmup_epochs",
            "take fewer",
        ),
        (
            "student.schedule={name: cosine, warmup_epochs: 5}",
            "student.schedule: 5 warmup_epochs leave nothing of the 5 epochs",
            "take fewer",
        ),
        (
            "student.schedule={name: cosine, milestones: [2]}",
            "student.schedule: milestones belongs to steps, not to cosine",
            "",
        ),
        ("student.clip_norm=0", "student.clip_norm: got 0", "greater than 0"),
        ("student.ema_decay=1", "student.ema_decay: got 1", "less than 1"),
        ("distillations=[]", "distillations: got []", "at least one distillation"),
        ("distillations.0.temperature=0", "distillations.0.temperature: got 0", "greater than 0"),
        ("distillations.0.temperature=.nan", "distillations.0.temperature: got nan", ""),
        (
            "distillations.0.student_loss_weight=1.1",
            "distillations.0.student_loss_weight: got 1.1",
            "less than or equal to 1",
        ),
        (
            "distillations.0.student_loss_weight=-0.1",
            "distillations.0.student_loss_weight: got -0.1",
            "greater than or equal to 0",
        ),
        (
            "distillations.0.method=magic",
            "distillations.0.method: got 'magic'",
            "allowed: dist, dkd, hint, kd",
        ),
        ("distillations.0.name=Teacher", "distillations.0.name: got 'Teacher'", "choose another"),
        ("distillations.0.name=1st", "distillations.0.name: got '1st'", "start with a letter"),
        ("distillations.0.name=HOT", "distillations: 'HOT', 'hot'", "must differ"),
        ("distillations.0.alpha=0.1", "distillations.0: unknown key 'alpha'", "student_loss_weight"),
        ("hardware.precision=float16", "hardware.precision: got 'float16'", "'mixed_bfloat16'"),
        ("evaluation.min_accuracy=90", "evaluation.min_accuracy: got 90", "less than or equal to 1"),
        (
            "augment.shift=0.1",
            "augment: the stored predictions are not",
            "set teacher_predictions: {views: 8}, or online",
        ),
        ("augment.crop=1", "augment.crop: got 1", "less than 1"),
        ("augment.shift=0.9", "augment.shift: got 0.9", "less than or equal to 0.5"),
        ("augment.mixup=-1", "augment.mixup: got -1", "greater than or equal to 0"),
        ("augment.horizontal_flip=false", "augment: changes nothing", "horizontal_flip, shift, crop"),
        ("augment.flip=true", "augment: unknown key 'flip'", "horizontal_flip, shift"),
        (
            "distillations.0={name: hinted, method: hint, teacher_layer: dense}",
            "distillations.0.student_layer: is missing",
            "add it",
        ),
        ("distillations.0.hint_weight=1", "distillations.0: unknown key 'hint_weight'", "temperature"),
        ("distillations.0.temperature=[]", "distillations.0.temperature: got []", "at least one value"),
        ("distillations.0.temperature=[2, 2.0]", "distillations.0.temperature: got [2, 2.0]", "2.0 twice"),
        ("distillations.0.temperature=[2, hot]", "distillations.0.temperature: got 'hot'", "valid number"),
        ("distillations.1.temperature=[2, 0]", "distillations.1.temperature: got 0", "greater than 0"),
        ("distillations.0.name=[a, b]", "distillations.0.name: got ['a', 'b']", "valid string"),
        ("search.halving=true", "search.halving: no distillation has a list", "remove it"),
        ("search.halving=1", "search.halving: got 1", "valid boolean"),
        ("teacher_predictions=live", "teacher_predictions: got 'live'", "'stored' or 'online'"),
        ("teacher_predictions.views=8", "teacher_predictions.views: without augment", "set augment, or"),
        ("teacher_predictions.views=0", "teacher_predictions.views: got 0", "greater than 0"),
        ("teacher_predictions.view=8", "teacher_predictions: unknown key 'view'", "did you mean 'views'"),
        ("teacher_predictions={}", "teacher_predictions: the section is empty", "give views or top_k"),
        ("teacher_predictions.top_k=0", "teacher_predictions.top_k: got 0", "greater than 0"),
        ("teacher_predictions={top_k: 20, online: true}", "teacher_predictions: what is", "online alone"),
        (
            "teacher_predictions={views: 8, online: true}",
            "teacher_predictions: what is stored is of no use to a teacher that runs online",
            "give the section without online, or online alone",
        ),
        ("push.directory=3", "push.directory: got 3", "valid string"),
    ],
)
def test_impossible_value_is_refused_in_one_line(override, given, allowed, refusal):
    message = refusal(override)
    assert message.startswith(given)
    assert allowed in message
    assert "\n" not in message


def test_variants_beyond_the_bound_are_refused_with_the_product_that_makes_them(refusal):
    temperatures, weights = (
        "temperature=[1, 2, 3, 4, 5, 6]",
        "student_loss_weight=[0, 0.1, 0.2, 0.3, 0.4, 0.5]",
    )
    assert refusal(f"distillations.0.{temperatures}", f"distillations.0.{weights}") == (
        "distillations.0: 6 x 6 = 36 variants, more than 32; shorten the lists"
    )
    most = f"[{', '.join(map(str, range(1, 33)))}]"
    assert refusal(f"distillations.0.temperature={most}", "distillations.1.temperature=[2]") == (
        "distillations: 32 + 1 = 33 variants, more than 32; shorten the lists"
    )


def test_a_variant_must_not_be_called_like_another_distillation(refusal):
    message = refusal("distillations.0.temperature=[2, 4]", "distillations.1.name=distilled_t4")
    assert message.startswith("distillations: 'distilled-T4', 'distilled_t4' must differ")


def test_augmentation_with_a_teacher_in_every_training_step_needs_no_word_on_predictions(path):
    hint = "distillations=[{name: h, method: hint, teacher_layer: a, student_layer: b}]"
    config = load_config(path, overrides=["augment.shift=0.1", hint])

    assert config.teacher_predictions == "stored"
    assert "TeacherPredictions" not in config.node_ids


def test_mixed_images_are_refused_for_the_method_that_needs_one_label(refusal):
    message = refusal("teacher_predictions=online", "augment.mixup=0.2", "distillations.1.method=dkd")
    assert message.startswith(
        "augment.mixup: a mixed image has two labels, but method dkd of 'hot' needs one;"
    )
    assert "\n" not in message


@pytest.mark.parametrize(
    "distillation",
    [
        "{name: d, method: logits_mse}",
        "{name: d, method: dist}",
        "{name: d, method: dkd}",
        "{name: d, method: kd, standardise_logits: true}",
        "{name: d, method: kd, standardise_logits: [true, false]}",
    ],
)
def test_what_compares_all_logits_is_refused_where_some_are_left_out(distillation, path, refusal):
    message = refusal("teacher_predictions.top_k=3", f"distillations.1={distillation}")

    assert message.startswith("teacher_predictions.top_k: 'd' (")
    assert "choose kd without standardise_logits" in message
    # A teacher that runs in the training step leaves out nothing.
    load_config(path, overrides=["teacher_predictions=online", f"distillations.1={distillation}"])


def test_probabilities_can_be_learnt_from_the_logits_of_the_most_likely_classes(path):
    top_k = "teacher_predictions.top_k=3"
    config = load_config(
        path, overrides=[top_k, "distillations.1={name: d, method: kd, temperature: [1, 4]}"]
    )

    assert (config.top_k, config.views) == (3, None)


def test_a_padded_crop_that_may_leave_nothing_of_an_image_is_refused(refusal):
    assert refusal("teacher_predictions=online", "augment.padded_crop=20") == (
        "augment.padded_crop: 20 pixels may leave nothing of images of 28x20; take fewer"
    )


def test_a_name_stands_for_the_usual_optimizer_or_schedule(path):
    config = load_config(path, overrides=["student.optimizer=sgd", "student.schedule=one_cycle"])

    assert config.student.optimizer == Sgd(name="sgd", momentum=0.9, nesterov=True, weight_decay=0.0)
    assert config.student.schedule == OneCycle(name="one_cycle", warmup_epochs=None)
    assert Config.model_validate_json(config.model_dump_json()) == config


def test_each_fault_has_a_line_of_its_own(path):
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides=["teacher.epochs=0", "seed=x"])
    assert str(caught.value).splitlines() == [
        f"{path}: seed: got 'x'; must be a valid integer",
        f"{path}: teacher.epochs: got 0; must be greater than 0",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no configuration"),
        (b"- a list", "holds no configuration"),
        (b"name: [open", "is not valid YAML at line 1, column 12"),
        (b"seed: 1\nname: x\nseed: 2", "line 3: the key 'seed' is given twice"),
        (b"name: \xff\xfe", "cannot be read as a text file"),
        (b"name: mnist", "data: is missing; add it"),
        (b"? [a, b]\n: 1", "unhashable key"),
        (b"{}", "name: is missing; add it"),
        (b"1: 2", "unknown key 1"),
    ],
)
def test_file_that_is_no_configuration_is_refused(content, message, path):
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_config(path)


def test_missing_file_and_directory_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"missing\.yaml: no such file"):
        load_config(tmp_path / "missing.yaml")
    with pytest.raises(ConfigError, match="cannot be read as a text file"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    "fractions", [{"train": 0.5}, {"train": 1.0, "validation": 0.2, "test": -0.2}, {"train": float("nan")}]
)
def test_split_fractions_add_up_to_one(fractions):
    with pytest.raises(pydantic.ValidationError):
        SplitFractions(**fractions)
    assert SplitFractions(train=0.5, validation=0.3, test=0.2).validation == 0.3


@pytest.fixture
def module(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A module of the user's own, which importing would break."""
    path = tmp_path / "own_models.py"
    path.write_text(
        "from somewhere import imported, other as renamed\n"
        "def small(image_shape, num_classes): ...\n"
        "tiny = small\n"
        "raise RuntimeError('imported')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return path


@pytest.mark.parametrize("name", ["small", "tiny", "imported", "renamed"])
def test_architecture_of_the_user_is_known_without_importing_it(name, module):
    assert registry.find_problem(f"own_models:{name}") is None
    assert registry.source_file(f"own_models:{name}") == module


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("mnist_techer", "did you mean 'mnist_teacher'?"),
        ("own_models:large", "names 'large', which module 'own_models' does not define"),
        ("own_models:other", "names 'other', which module 'own_models' does not define"),
        ("nowhere:small", "names module 'nowhere', which is not on the Python path"),
        ("nowhere.models:small", "names module 'nowhere.models', which is not on the Python path"),
        (":small", "names module '', which is not on the Python path"),
        ("own_models:", "does not define"),
    ],
)
def test_unknown_architecture_is_refused(name, problem, module):
    assert problem in registry.find_problem(name)
    with pytest.raises(InputError, match=re.escape(problem)):
        registry.load(name)


def test_every_registered_architecture_is_defined_where_it_says():
    for name, import_path in registry.ARCHITECTURES.items():
        assert registry.find_problem(import_path) is None
        assert registry.source_file(name).name == f"{import_path.partition(':')[0].rpartition('.')[2]}.py"


def test_import_path_is_loaded():
    assert registry.load("components.errors:InputError") is InputError


UNLABELLED = (
    "data.labels=false",
    "teacher={from: teacher.keras}",
    "distillations=[{name: distilled, method: kd, student_loss_weight: 0}]",
)


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("teacher_predictions=online", "augment.shift=0.1"),
        (
            "distillations=[{name: distilled, method: hint, student_loss_weight: 0, teacher_layer: a,"
            " student_layer: b}]",
        ),
    ],
)
def test_distillation_without_labels_needs_a_teacher_and_no_label(overrides, path):
    config = load_config(path, overrides=[*UNLABELLED, *overrides])

    assert config.data.labels is False
    assert "Scratch" not in config.node_ids
    assert Config.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("override", "given", "way_out"),
    [
        (
            "teacher={architecture: mnist_teacher, epochs: 2, batch_size: 64, learning_rate: 0.1}",
            "teacher: needs labels to be trained",
            "teacher: {from: PATH}",
        ),
        (
            "teacher=[{from: a.keras}, {architecture: mnist_teacher, epochs: 2, batch_size: 64, "
            "learning_rate: 0.1}]",
            "teacher: needs labels to be trained",
            "teacher: {from: PATH}",
        ),
        (
            "distillations=[{name: distilled, method: kd}]",
            "distillations.0.student_loss_weight: got 0.1, but data.labels is false",
            "set it to 0",
        ),
        (
            "distillations=[{name: distilled, method: dkd, student_loss_weight: 0}]",
            "distillations.0.method: got 'dkd', which needs labels",
            "choose dist, hint, kd, logits_mse",
        ),
        ("student.label_smoothing=0.1", "student.label_smoothing: got 0.1", "leave it out"),
        ("class_weights=balanced", "class_weights: needs labels", "leave it out"),
        ("evaluation.against_scratch=better", "evaluation.against_scratch: got 'better'", "leave it out"),
        ("evaluation.min_gap_closed=0.3", "evaluation.min_gap_closed: compares", "leave it out"),
        (
            "evaluation.changes=[{baseline: scratch, min: 0}]",
            "evaluation.changes.0.baseline: got 'scratch'",
            "take teacher or incumbent",
        ),
    ],
)
def test_what_needs_labels_is_refused_without_them(override, given, way_out, refusal):
    message = refusal(*UNLABELLED, override)
    assert message.startswith(given)
    assert way_out in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("overrides", "splits"),
    [
        ((), ("train", "validation", "test")),
        (("data.unlabelled=photos",), ("train", "validation", "test", "unlabelled")),
        (("data.labelled_fraction=0.1",), ("train", "validation", "test", "unlabelled")),
    ],
)
def test_images_without_labels_beside_labelled_ones_are_a_split(overrides, splits, path):
    config = load_config(path, overrides=overrides)

    assert config.data.split_names == splits
    assert Config.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            (*UNLABELLED, "data.unlabelled=photos"),
            "data.unlabelled: with data.labels: false no image of the training split has a label; put all "
            "images there, and leave it out",
        ),
        (
            ("data.labelled_fraction=0.5", "distillations=[{name: distilled, method: dkd}]"),
            "distillations.0.method: got 'dkd', which needs labels, but data.labelled_fraction gives images "
            "without; choose dist, hint, kd, logits_mse",
        ),
        (
            ("data.labelled_fraction=0.5", "distillations.1.student_loss_weight=[0.5, 1]"),
            "distillations.1.student_loss_weight: got 1, with which nothing is learnt from the images "
            "without labels that data.labelled_fraction gives; take less",
        ),
        (("data.labelled_fraction=0",), "data.labelled_fraction: got 0"),
    ],
)
def test_what_does_not_go_with_images_without_labels_is_refused(overrides, expected, refusal):
    message = refusal(*overrides)
    assert message.startswith(expected)
    assert "\n" not in message


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("balanced", "balanced"),
        ("{cat: 2, dog: 0.5}", {"cat": 2.0, "dog": 0.5}),
        ("{0: 2}", {"0": 2.0}),
        ("null", None),
    ],
)
def test_class_weights_are_read(given, expected, path):
    config = load_config(path, overrides=[f"class_weights={given}"])
    assert config.class_weights == expected
    assert Config.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("balance", "must be balanced, or a weight for each of some classes"),
        ("{}", "must be balanced, or a weight for each of some classes"),
        ("{cat: 0}", "holds 0 for the class 'cat'; a weight must be above 0"),
        ("{cat: -1}", "holds -1 for the class 'cat'; a weight must be above 0"),
        ("{cat: .inf}", "holds inf for the class 'cat'; a weight must be above 0"),
        ("{cat: heavy}", "holds 'heavy' for the class 'cat'; a weight must be above 0"),
        ("{no: 2}", "holds the class False, which is no text; put it in quotes"),
    ],
)
def test_impossible_class_weights_are_refused_in_one_line(given, words, refusal):
    message = refusal(f"class_weights={given}")
    assert message.startswith("class_weights: ")
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("overrides", "levers"),
    [
        ((), ("data.unlabelled", "augment", "student.architecture")),
        (("distillations.1.method=dkd",), ("augment", "student.architecture")),
        (UNLABELLED, ("augment", "student.architecture")),
        (("teacher_predictions=online", "augment.shift=0.1"), ("data.unlabelled", "student.architecture")),
        (("teacher={predictions: x.npz}",), ("data.unlabelled", "student.architecture")),
        (
            ("student={from: x.keras, epochs: 1, batch_size: 8, learning_rate: 0.1}",),
            ("data.unlabelled", "augment"),
        ),
    ],
)
def test_levers_are_the_keys_that_would_not_be_refused(overrides, levers, path):
    assert load_config(path, overrides=overrides).levers == levers


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["notify.webhook=example.com"], "notify: webhook: must be a URL of http:// or https://"),
        (["notify.webhook=https://example.com/"], "notify: secret_env: is missing; name the environment"),
        (["notify.secret_env=SECRET"], "notify: secret_env: there is no webhook to send to; give one"),
        (["notify.no_push_days=14"], "notify: no_push_days: there is no webhook to send to; give one"),
        (["notify.no_push_days=0"], "notify.no_push_days: got 0"),
        (["notify.prometheus=digits.txt"], "notify: prometheus: got 'digits.txt'; the textfile collector"),
    ],
)
def test_nobody_can_be_notified_in_vain(overrides, message, refusal):
    assert refusal(*overrides).startswith(message)


@pytest.mark.parametrize(
    ("override", "message"),
    [("retention.runs=0", "retention.runs: got 0"), ("retention.days=-1", "retention.days: got -1")],
)
def test_the_last_run_is_always_kept(override, message, refusal):
    assert refusal(override).startswith(message)


def test_what_is_kept_of_a_run_is_not_recorded(path):
    config = load_config(path, overrides=["retention={runs: 3, days: 30}"])
    assert config.to_record() == load_config(path).to_record()


def test_whom_a_run_notifies_is_not_recorded(path):
    notify = "notify={webhook: 'https://example.com/token', secret_env: SECRET, no_push_days: 14}"
    config = load_config(path, overrides=[notify])
    assert config.to_record() == load_config(path).to_record()
    assert "token" not in str(config.to_record())


def test_a_bound_on_reference_images_needs_some(path, refusal):
    bound = "evaluation.max_accuracy_drop_on_reference=0.05"
    assert refusal(bound) == (
        "evaluation.max_accuracy_drop_on_reference: there are no reference images; give a folder of them as "
        "data.reference, or leave it out"
    )
    config = load_config(path, overrides=[bound, "data.reference=photos"])
    assert config.evaluation.max_accuracy_drop_on_reference == 0.05
    assert config.data.split_names == ("train", "validation", "test", "reference")
