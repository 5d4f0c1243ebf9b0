"""The graph: from a configuration to a TFX pipeline. Pure wiring, the same on every platform."""

import dataclasses
import functools
from collections.abc import Mapping
from types import MappingProxyType

from ml_metadata.proto import ConnectionConfig
from tfx.components import StatisticsGen
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import transform_pb2
from tfx.types import BaseChannel

from components.distiller.component import Distiller
from components.distiller.search import Search
from components.evaluator.component import Evaluator
from components.example_gen.component import ExampleGen
from components.example_validator.component import ExampleValidator
from components.layout import UNLABELLED
from components.pretrained.component import PredictionsImporter, TeacherAverager, TeacherImporter
from components.pusher.component import Pusher
from components.schema_gen.component import SchemaGen
from components.schema_gen.schema import statistics_options
from components.settings.models import (
    ModelSettings,
    OutsideTeacher,
    PredictionsImport,
    PretrainedTeacher,
    TeacherImport,
    TrainedModel,
)
from components.settings.retraining import Keeping, WarmStart
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
    pipeline_name: str | None = None,
    metadata: ConnectionConfig | None = None,
    fingerprints: Mapping[str, str] = MappingProxyType({}),
    checkpoint_directory: str | None = None,
) -> Pipeline:
    """Wires the graph of an experiment.

    Args:
      config: The experiment.
      root: Where the artifacts go.
      push_directory: Where a blessed student goes.
      pipeline_name: By which ML Metadata knows the runs; None is the experiment's.
      metadata: The database of ML Metadata; None where the platform brings its own.
      fingerprints: Of what the cache cannot see by itself: `data`, the code and files of `teacher`, or of
        each of several (`teacher-1`, ...), those of `student`, the version of the `incumbent`, the student
        that ships, or `none`, that of the `start`, the one whose weights students may start from, and the
        `kept_teacher` of earlier runs.
      checkpoint_directory: Where unfinished trainings leave their checkpoints; None is beside their outputs.

    Returns:
      The pipeline, for any TFX runner or compiler.
    """
    incumbent = fingerprints.get("incumbent", "")
    data = _data_nodes(
        config, fingerprint=fingerprints.get("data", ""), push_directory=push_directory, incumbent=incumbent
    )
    models = _Models(
        config=config,
        data=data,
        fingerprints=fingerprints,
        checkpoint_directory=checkpoint_directory,
        push_directory=push_directory,
    )
    evaluator = _evaluator(models, push_directory=push_directory, incumbent=incumbent)
    return Pipeline(
        pipeline_name=pipeline_name or config.name,
        pipeline_root=root,
        components=[
            *data.nodes,
            *models.nodes,
            evaluator,
            _pusher(models, evaluator, directory=push_directory, incumbent=incumbent),
        ],
        enable_cache=True,
        metadata_connection_config=metadata,
    )


@dataclasses.dataclass(frozen=True)
class _DataNodes:
    """The nodes from images to transformed examples."""

    example_gen: ExampleGen
    statistics_gen: StatisticsGen
    schema_gen: SchemaGen
    example_validator: ExampleValidator
    transform: Transform

    @property
    def nodes(self) -> list[BaseNode]:
        """All of them, in the order in which they run."""
        return [
            self.example_gen,
            self.statistics_gen,
            self.schema_gen,
            self.example_validator,
            self.transform,
        ]

    @property
    def examples(self) -> BaseChannel:
        """The transformed examples."""
        return self.transform.outputs["transformed_examples"]

    @property
    def export_inputs(self) -> dict[str, BaseChannel]:
        """What a node that exports a model needs."""
        return {
            "transform_graph": self.transform.outputs["transform_graph"],
            "schema": self.schema_gen.outputs["schema"],
        }

    @property
    def training_inputs(self) -> dict[str, BaseChannel]:
        """What a node that trains a model needs."""
        statistics = self.statistics_gen.outputs["statistics"]
        return {"examples": self.examples, **self.export_inputs, "statistics": statistics}


def _data_nodes(config: Config, *, fingerprint: str, push_directory: str, incumbent: str) -> _DataNodes:
    example_gen = ExampleGen(data=config.data, fingerprint=fingerprint)
    examples = example_gen.outputs["examples"]
    statistics_gen = StatisticsGen(examples=examples, stats_options=statistics_options())
    statistics = statistics_gen.outputs["statistics"]
    schema_gen = SchemaGen(statistics=statistics, examples=examples)
    schema = schema_gen.outputs["schema"]
    example_validator = ExampleValidator(
        statistics=statistics,
        schema=schema,
        examples=examples,
        checks=config.data_checks,
        push_directory=push_directory,
        incumbent=incumbent,
        class_weights=config.class_weights,
        # Its labels are no index of a class.
        exclude_splits=[UNLABELLED] if config.data.has_unlabelled else [],
    )
    transform = Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn=PREPROCESSING_FN,
        custom_config={"image": config.image.model_dump()},
        splits_config=transform_pb2.SplitsConfig(analyze=["train"], transform=config.data.split_names),
        disable_statistics=True,
        # There is nothing to keep: what becomes of an image depends on no other.
        disable_analyzer_cache=True,
    )
    # Nothing is trained on data that did not pass.
    transform.add_upstream_node(example_validator)
    return _DataNodes(example_gen, statistics_gen, schema_gen, example_validator, transform)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Models:
    """The nodes that train, import or run models, each made when it is first asked for.

    Attributes:
      config: The experiment.
      data: The nodes whose examples they use.
      fingerprints: See `create_pipeline`.
      checkpoint_directory: See `create_pipeline`.
      push_directory: See `create_pipeline`.
    """

    config: Config
    data: _DataNodes
    fingerprints: Mapping[str, str]
    checkpoint_directory: str | None
    push_directory: str

    @property
    def nodes(self) -> list[BaseNode]:
        """All of them, in an order in which they can run."""
        return [
            *self.teachers,
            *([self.predictor] if self.config.stores_predictions else []),
            *([self.scratch] if self.scratch else []),
            *self.distillers.values(),
        ]

    @property
    def teacher(self) -> BaseNode | None:
        """The one that students are distilled from; None if it is known by its predictions alone."""
        return self.teachers[-1] if self.teachers else None

    @functools.cached_property
    def teachers(self) -> list[BaseNode]:
        """The teacher; or several, and last the node `Teacher` that averages them; none if it is outside."""
        nodes = [
            # With the same seed, two of the same architecture would be the same model.
            self._teacher(node_id, settings, seed=self.config.seed + position)
            for position, (node_id, settings) in enumerate(self.config.teachers.items())
            if not isinstance(settings, OutsideTeacher)
        ]
        if not nodes or nodes[-1].id == "Teacher":
            return nodes
        averager = TeacherAverager(
            teachers={node.id: node.outputs["model"] for node in nodes},
            image=self.config.image,
            **self.data.export_inputs,
        )
        return [*nodes, averager.with_id("Teacher")]

    @functools.cached_property
    def scratch(self) -> BaseNode | None:
        """Trains the student without a teacher; None where there are no labels."""
        if not self.config.data.labels:
            return None
        scratch = supervised_trainer(
            self._job_of_student("Scratch"), node_id="Scratch", **self.data.training_inputs
        )
        if self.config.outside_teacher:
            # What is wrong with a file of predictions is told before anything is trained.
            scratch.add_upstream_node(self.predictor)
        return scratch

    @functools.cached_property
    def predictor(self) -> BaseNode:
        """Stores the teacher's logits."""
        outside = self.config.outside_teacher
        node = self._predictions_importer(outside) if outside else self._predictor()
        return node.with_id("TeacherPredictions")

    def _predictions_importer(self, teacher: OutsideTeacher) -> BaseNode:
        return PredictionsImporter(
            predictions_import=PredictionsImport(
                teacher=teacher,
                image=self.config.image,
                file_fingerprint=self.fingerprints.get("teacher", ""),
            ),
            examples=self.data.examples,
            schema=self.data.schema_gen.outputs["schema"],
        )

    def _predictor(self) -> BaseNode:
        return TeacherPredictor(
            examples=self.data.examples,
            teacher=self.teachers[-1].outputs["model"],
            image=self.config.image,
            splits=self.config.predicted_splits,
            views=self.config.views,
            top_k=self.config.top_k,
        )

    @functools.cached_property
    def distillers(self) -> dict[str, BaseNode]:
        """Each distils a student; by the name of what it trains."""
        return {each.name: self._distiller(each) for each in self.config.distillers}

    def _distiller(self, search: Search) -> BaseNode:
        node_id = distiller_id(search.name)
        reads_predictions = self.config.reads_predictions(search.base)
        return Distiller(
            job=self._job_of_student(node_id),
            search=search,
            asks_teacher=self.config.asks_teacher(search.base),
            teacher=self.teacher.outputs["model"] if self.teacher else None,
            teacher_predictions=self.predictor.outputs["predictions"] if reads_predictions else None,
            **self.data.training_inputs,
        ).with_id(node_id)

    def _teacher(self, node_id: str, settings: ModelSettings | PretrainedTeacher, *, seed: int) -> BaseNode:
        if isinstance(settings, PretrainedTeacher):
            teacher_import = TeacherImport(
                teacher=settings,
                image=self.config.image,
                file_fingerprint=self.fingerprints.get(node_id.lower(), ""),
            )
            node = TeacherImporter(teacher_import=teacher_import, **self.data.export_inputs)
            return node.with_id(node_id)
        job = self._job(node_id, settings, code=node_id.lower(), seed=seed)
        keep = self.config.retraining.keep_teacher
        if keep is not None:
            keeping = Keeping(
                directory=self.push_directory,
                fingerprint=self.fingerprints.get("kept_teacher", ""),
                **keep.model_dump(),
            )
            job = job.model_copy(update={"keeping": keeping})
        return supervised_trainer(job, node_id=node_id, **self.data.training_inputs)

    def _job_of_student(self, name: str) -> TrainingJob:
        """Says how a student is trained; all of them see the same images."""
        job = self._job(name, self.config.student, code="student", seed=self.config.seed)
        if self.config.retraining.student_start == "champion":
            version = self.fingerprints.get("start", "")
            job = job.model_copy(update={"start": WarmStart(directory=self.push_directory, version=version)})
        views = self.config.views
        return job.model_copy(update={"augment": None, "views": views}) if views else job

    def _job(self, name: str, model: TrainedModel, *, code: str, seed: int) -> TrainingJob:
        """Says what to train; `code` names the fingerprint of the architecture's code."""
        return TrainingJob(
            name=name,
            model=model,
            image=self.config.image,
            hardware=self.config.hardware,
            seed=seed,
            labels=self.config.data.labels,
            class_weights=self.config.class_weights,
            code_fingerprint=self.fingerprints.get(code, ""),
            checkpoint_directory=self.checkpoint_directory,
            augment=self.config.augment,
        )


def _evaluator(models: _Models, *, push_directory: str, incumbent: str) -> Evaluator:
    stores_predictions = models.config.stores_predictions
    return Evaluator(
        examples=models.data.examples,
        schema=models.data.schema_gen.outputs["schema"],
        anomalies=models.data.example_validator.outputs["anomalies"],
        teacher=_model_and_run(models.teacher) if models.teacher else None,
        teacher_predictions=models.predictor.outputs["predictions"] if stores_predictions else None,
        scratch=_model_and_run(models.scratch) if models.scratch else None,
        distillers={name: _model_and_run(node) for name, node in models.distillers.items()},
        students={
            search.name: {each.name: each.own_values for each in models.config.distillers_of(search)}
            for search in models.config.distillations
        },
        evaluation=models.config.evaluation,
        levers=models.config.levers,
        drift=models.config.drift,
        push_directory=push_directory,
        incumbent=incumbent,
    )


def _model_and_run(node: BaseNode) -> tuple[BaseChannel, BaseChannel]:
    return node.outputs["model"], node.outputs["model_run"]


def _pusher(models: _Models, evaluator: Evaluator, *, directory: str, incumbent: str) -> Pusher:
    teacher = models.teacher if models.config.retraining.keep_teacher else None
    model, model_run = _model_and_run(teacher) if teacher else (None, None)
    return Pusher(
        model=evaluator.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        evaluation=evaluator.outputs["evaluation"],
        push=models.config.push.model_copy(update={"directory": directory}),
        incumbent=incumbent,
        teacher=model,
        teacher_run=model_run,
    )
