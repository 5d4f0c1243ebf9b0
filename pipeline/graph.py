"""The graph: from a configuration to a TFX pipeline. Pure wiring, the same on every platform."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from tfx.components import Pusher, StatisticsGen, Transform
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import pusher_pb2, transform_pb2

from components.distiller.component import Distiller
from components.evaluator.component import Evaluator
from components.example_gen.component import ExampleGen
from components.example_validator.component import ExampleValidator
from components.schema_gen.component import SchemaGen
from components.schema_gen.schema import statistics_options
from components.settings import SPLITS, ModelSettings, TrainingJob
from components.teacher_predictions.component import TeacherPredictor
from components.trainer.component import supervised_trainer
from pipeline.config import Config
from pipeline.nodes import distiller_id

PREPROCESSING_FN = "components.transform.preprocessing.preprocessing_fn"


def create_pipeline(
    config: Config,
    *,
    root: str,
    push_directory: str,
    metadata_path: str | None = None,
    fingerprints: Mapping[str, str] = MappingProxyType({}),
    beam_args: Sequence[str] = (),
) -> Pipeline:
    """Wires the graph of an experiment.

    Args:
      config: The experiment.
      root: Where the artifacts go.
      push_directory: Where a blessed student goes.
      metadata_path: The SQLite file of ML Metadata; None where the platform brings its own.
      fingerprints: Of what the cache cannot see by itself: `data`, the code of `teacher` and `student`, and
        the version of the `incumbent`, the student pushed last, or `none`.
      beam_args: Options of Beam's pipelines.

    Returns:
      The pipeline, for any TFX runner or compiler.
    """
    example_gen = ExampleGen(data=config.data, fingerprint=fingerprints.get("data", ""))
    examples = example_gen.outputs["examples"]
    statistics_gen = StatisticsGen(examples=examples, stats_options=statistics_options())
    statistics = statistics_gen.outputs["statistics"]
    schema_gen = SchemaGen(statistics=statistics, examples=examples)
    schema = schema_gen.outputs["schema"]
    example_validator = ExampleValidator(statistics=statistics, schema=schema)
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

    def job(name: str, model: ModelSettings, code: str) -> TrainingJob:
        return TrainingJob(
            name=name,
            model=model,
            image=config.image,
            hardware=config.hardware,
            seed=config.seed,
            code_fingerprint=fingerprints.get(code, ""),
            augment=config.augment,
        )

    teacher = supervised_trainer(
        job("Teacher", config.teacher, "teacher"), node_id="Teacher", **training_inputs
    )
    scratch = supervised_trainer(
        job("Scratch", config.student, "student"), node_id="Scratch", **training_inputs
    )
    teacher_predictions = TeacherPredictor(
        examples=transform.outputs["transformed_examples"],
        teacher=teacher.outputs["model"],
        image=config.image,
    ).with_id("TeacherPredictions")
    distillers = {
        distillation.name: Distiller(
            job=job(distiller_id(distillation.name), config.student, "student"),
            distillation=distillation,
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
        scratch=scratch.outputs["model"],
        scratch_run=scratch.outputs["model_run"],
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
            teacher,
            scratch,
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
