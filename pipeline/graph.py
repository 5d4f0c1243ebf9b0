"""The graph: from a configuration to a TFX pipeline. Pure wiring, the same on every platform."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from tfx.components import Pusher, StatisticsGen
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import pusher_pb2, transform_pb2

from components.distiller.component import Distiller
from components.evaluator.component import Evaluator
from components.example_gen.component import ExampleGen
from components.example_validator.component import ExampleValidator
from components.layout import SPLITS
from components.pretrained.component import TeacherAverager, TeacherImporter
from components.schema_gen.component import SchemaGen
from components.schema_gen.schema import statistics_options
from components.settings.models import ModelSettings, PretrainedTeacher, Teacher, TeacherImport
from components.settings.training import TrainingJob
from components.teacher_predictions.component import TeacherPredictor
from components.training.component import supervised_trainer
from components.transform.component import Transform
from pipeline.config.experiment import Config
from pipeline.config.nodes import distiller_id

PREPROCESSING_FN = "components.transform.preprocessing.preprocessing_fn"


def create_pipeline(
    config: Config,
    *,
    root: str,
    push_directory: str,
    metadata_path: str | None = None,
    fingerprints: Mapping[str, str] = MappingProxyType({}),
    beam_args: Sequence[str] = (),
    checkpoint_directory: str | None = None,
) -> Pipeline:
    """Wires the graph of an experiment.

    Args:
      config: The experiment.
      root: Where the artifacts go.
      push_directory: Where a blessed student goes.
      metadata_path: The SQLite file of ML Metadata; None where the platform brings its own.
      fingerprints: Of what the cache cannot see by itself: `data`, the code and files of `teacher`, or of
        each of several (`teacher-1`, ...), the code of `student`, and the version of the `incumbent`, the
        student pushed last, or `none`.
      beam_args: Options of Beam's pipelines.
      checkpoint_directory: Where unfinished trainings leave their checkpoints; None is beside their outputs.

    Returns:
      The pipeline, for any TFX runner or compiler.
    """
    example_gen = ExampleGen(data=config.data, fingerprint=fingerprints.get("data", ""))
    examples = example_gen.outputs["examples"]
    statistics_gen = StatisticsGen(examples=examples, stats_options=statistics_options())
    statistics = statistics_gen.outputs["statistics"]
    schema_gen = SchemaGen(statistics=statistics, examples=examples)
    schema = schema_gen.outputs["schema"]
    example_validator = ExampleValidator(
        statistics=statistics, schema=schema, class_weights=config.class_weights
    )
    transform = Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn=PREPROCESSING_FN,
        custom_config={"image": config.image.model_dump_json()},
        splits_config=transform_pb2.SplitsConfig(analyze=["train"], transform=SPLITS),
        disable_statistics=True,
    )
    # Nothing is trained on data that did not pass.
    transform.add_upstream_node(example_validator)
    training_inputs = {
        "examples": transform.outputs["transformed_examples"],
        "transform_graph": transform.outputs["transform_graph"],
        "schema": schema,
        "statistics": statistics,
    }

    export_inputs = {key: training_inputs[key] for key in ("transform_graph", "schema")}

    def job(name: str, model: ModelSettings, code: str, *, seed: int = config.seed) -> TrainingJob:
        return TrainingJob(
            name=name,
            model=model,
            image=config.image,
            hardware=config.hardware,
            seed=seed,
            labels=config.data.labels,
            class_weights=config.class_weights,
            code_fingerprint=fingerprints.get(code, ""),
            checkpoint_directory=checkpoint_directory,
            augment=config.augment,
        )

    def make_teacher(node_id: str, settings: Teacher, *, seed: int) -> BaseNode:
        if isinstance(settings, PretrainedTeacher):
            teacher_import = TeacherImport(
                teacher=settings, image=config.image, file_fingerprint=fingerprints.get(node_id.lower(), "")
            )
            return TeacherImporter(teacher_import=teacher_import, **export_inputs).with_id(node_id)
        return supervised_trainer(
            job(node_id, settings, node_id.lower(), seed=seed), node_id=node_id, **training_inputs
        )

    teachers = {
        # Else two of the same architecture would be the same model.
        node_id: make_teacher(node_id, settings, seed=config.seed + position)
        for position, (node_id, settings) in enumerate(config.teachers.items())
    }
    if "Teacher" not in teachers:
        models = {node_id: node.outputs["model"] for node_id, node in teachers.items()}
        teachers["Teacher"] = TeacherAverager(teachers=models, image=config.image, **export_inputs).with_id(
            "Teacher"
        )
    teacher = teachers["Teacher"]
    scratch = None
    if config.data.labels:
        scratch = supervised_trainer(
            job("Scratch", config.student, "student"), node_id="Scratch", **training_inputs
        )
    teacher_predictions = TeacherPredictor(
        examples=transform.outputs["transformed_examples"],
        teacher=teacher.outputs["model"],
        image=config.image,
        splits=("train",) if config.data.labels else ("train", "validation"),
    ).with_id("TeacherPredictions")
    distillers = {
        distillation.name: Distiller(
            job=job(distiller_id(distillation.name), config.student, "student"),
            distillation=distillation,
            asks_teacher=config.asks_teacher(distillation),
            teacher=teacher.outputs["model"],
            teacher_predictions=(
                teacher_predictions.outputs["predictions"] if config.reads_predictions(distillation) else None
            ),
            **training_inputs,
        ).with_id(distiller_id(distillation.name))
        for distillation in config.distillations
    }
    evaluator = Evaluator(
        examples=transform.outputs["transformed_examples"],
        schema=schema,
        teacher=teacher.outputs["model"],
        teacher_run=teacher.outputs["model_run"],
        scratch=(scratch.outputs["model"], scratch.outputs["model_run"]) if scratch else None,
        students={
            name: (distiller.outputs["model"], distiller.outputs["model_run"])
            for name, distiller in distillers.items()
        },
        evaluation=config.evaluation,
        push_directory=push_directory,
        incumbent=fingerprints.get("incumbent", ""),
    )
    pusher = Pusher(
        model=evaluator.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=push_directory)
        ),
    )
    return Pipeline(
        pipeline_name=config.name,
        pipeline_root=root,
        components=[
            example_gen,
            statistics_gen,
            schema_gen,
            example_validator,
            transform,
            *teachers.values(),
            *([scratch] if scratch else []),
            *([teacher_predictions] if config.stores_predictions else []),
            *distillers.values(),
            evaluator,
            pusher,
        ],
        enable_cache=True,
        metadata_connection_config=metadata_path
        and metadata.sqlite_metadata_connection_config(metadata_path),
        beam_pipeline_args=list(beam_args),
    )
