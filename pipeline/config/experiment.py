"""One experiment, checked as a whole."""

import pathlib
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from components.distiller.methods.base import Method
from components.distiller.registry import METHODS
from components.distiller.search import MOST_VARIANTS, Search, SearchSettings
from components.example_gen.registry import DataSettings
from components.example_gen.spans.pattern import holds_span
from components.layout import UNLABELLED
from components.settings.base import BeamFolder, PositiveInt, Settings, custom_error
from components.settings.data_checks import DataCheckSettings, DriftSettings, Duplicates
from components.settings.evaluation import EvaluationSettings, PushSettings
from components.settings.models import (
    ContinuedModel,
    ImageSettings,
    ModelSettings,
    OutsideTeacher,
    Teacher,
    TeacherSettings,
    TrainedModel,
)
from components.settings.retraining import RetrainingSettings
from components.settings.training import AugmentSettings, ClassWeights, HardwareSettings, Views
from components.storage.uri import OBJECT_STORES, scheme_of
from pipeline.config.beam import BeamSettings
from pipeline.config.kubeflow import KubeflowSettings
from pipeline.config.metadata import parse_url
from pipeline.config.nodes import LOOK, distiller_id, teacher_id
from pipeline.config.notify import NotifySettings
from pipeline.config.retention import RetentionSettings

# The schemes of URIs that TFX's fileio and Beam's FileSystems both read.
_ROOTS = ("gs", "s3", "hdfs")


class StoredPredictions(Settings):
    """How the teacher's predictions are stored.

    Attributes:
      views: For how many views of each training image; see `Views`. None is for the image as it is.
      top_k: Of how many classes, the most likely, logits are stored one by one; None is of all.
    """

    views: PositiveInt | None = None
    top_k: PositiveInt | None = None

    @model_validator(mode="before")
    @classmethod
    def _not_online(cls, values: Any) -> Any:
        if isinstance(values, dict) and "online" in values:
            raise custom_error(
                "what is stored is of no use to a teacher that runs online, which sees other images in each "
                "epoch; give the section without online, or online alone"
            )
        if not values:
            raise custom_error("the section is empty; give views or top_k, or the word stored")
        return values


def _kind_of_predictions(value: Any) -> str:
    return "section" if isinstance(value, dict | Settings) else "word"


TeacherPredictions = Annotated[
    Annotated[Literal["stored", "online"], Tag("word")] | Annotated[StoredPredictions, Tag("section")],
    Discriminator(_kind_of_predictions),
]


class Config(Settings):
    """One experiment: its data, its models, its distillations, and what they must reach."""

    name: str
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 42
    data: DataSettings
    image: ImageSettings
    teacher: TeacherSettings
    student: TrainedModel
    distillations: tuple[Search, ...]
    search: SearchSettings = SearchSettings()
    class_weights: ClassWeights | None = None
    hardware: HardwareSettings = HardwareSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    drift: DriftSettings = DriftSettings()
    duplicates: Duplicates = "warn"
    push: PushSettings = PushSettings()
    notify: NotifySettings = NotifySettings()
    beam: BeamSettings = BeamSettings()
    kubeflow: KubeflowSettings = KubeflowSettings()
    teacher_predictions: TeacherPredictions = "stored"
    augment: AugmentSettings | None = None
    retraining: RetrainingSettings = RetrainingSettings()
    retention: RetentionSettings = RetentionSettings()
    metadata: str | None = None
    pipeline_root: Annotated[BeamFolder, Field(min_length=1)] | None = None

    @property
    def kubeflow_root(self) -> str | None:
        """Where the artifacts go on Kubeflow Pipelines; None leaves it to the server."""
        root = self.kubeflow.pipeline_root or self.pipeline_root or ""
        return root if scheme_of(root) in OBJECT_STORES else None

    @property
    def teachers(self) -> dict[str, Teacher]:
        """The settings of each teacher, by the id of its node; several are averaged by `Teacher`."""
        if isinstance(self.teacher, tuple):
            return {teacher_id(number): teacher for number, teacher in enumerate(self.teacher, start=1)}
        return {"Teacher": self.teacher}

    @property
    def outside_teacher(self) -> OutsideTeacher | None:
        """The teacher that is known by its predictions alone, for which there is no node `Teacher`."""
        return self.teacher if isinstance(self.teacher, OutsideTeacher) else None

    @property
    def distillers(self) -> tuple[Search, ...]:
        """What each Distiller trains."""
        return tuple(each for search in self.distillations for each in self.distillers_of(search))

    def distillers_of(self, search: Search) -> tuple[Search, ...]:
        """Returns what each Distiller of a distillation trains: one variant or, with halving, all of them."""
        return (search,) if self.search.halving else search.apart()

    @property
    def node_ids(self) -> tuple[str, ...]:
        """The ids of all nodes, in an order in which they can run."""
        # Without labels there is nothing to train on but the teacher's predictions.
        scratch = ("Scratch",) if self.data.labels else ()
        predictions = ("TeacherPredictions",) if self.stores_predictions else ()
        return (
            "ExampleGen",
            "StatisticsGen",
            "SchemaGen",
            "ExampleValidator",
            "Transform",
            *(() if self.outside_teacher else dict.fromkeys((*self.teachers, "Teacher"))),
            # Those of an outside teacher are checked before anything is trained.
            *((*predictions, *scratch) if self.outside_teacher else (*scratch, *predictions)),
            *(distiller_id(each.name) for each in self.distillers),
            "Evaluator",
            "Pusher",
        )

    @property
    def kubeflow_node_ids(self) -> tuple[str, ...]:
        """The ids of all nodes on Kubeflow, in an order in which they can run."""
        return LOOK, *self.node_ids

    @property
    def nodes_with_files(self) -> tuple[str, ...]:
        """The ids of the nodes that read or write what a run takes from outside: data, models, what ships."""
        outside = {node: "TeacherPredictions" for node in self.teachers if self.outside_teacher}
        teachers = (
            outside.get(node, node)
            for node, teacher in self.teachers.items()
            if type(teacher) is not ModelSettings
        )
        students = () if type(self.student) is ModelSettings else self._student_nodes
        return tuple(dict.fromkeys(("ExampleGen", "Pusher", *teachers, *students)))

    @property
    def _student_nodes(self) -> tuple[str, ...]:
        scratch = ("Scratch",) if self.data.labels else ()
        return (*scratch, *map(_distiller_of, self.distillers))

    @property
    def views(self) -> Views | None:
        """The views of the training images that the students see; None if they see others in each epoch."""
        if self.augment is None or self.num_views is None:
            return None
        return Views(number=self.num_views, seed=self.seed, augment=self.augment)

    @property
    def num_views(self) -> int | None:
        """Of how many views of each training image predictions are stored; None is of the image itself."""
        stored = self.teacher_predictions
        return stored.views if isinstance(stored, StoredPredictions) else None

    @property
    def top_k(self) -> int | None:
        """Of how many classes the teacher's logits are stored one by one; None is of all."""
        stored = self.teacher_predictions
        return stored.top_k if isinstance(stored, StoredPredictions) else None

    @property
    def stores_predictions(self) -> bool:
        """Whether any distillation reads stored predictions."""
        return any(self.reads_predictions(search.base) for search in self.distillations)

    @property
    def predicted_splits(self) -> tuple[str, ...]:
        """The splits for which predictions are stored, if any are."""
        if not self.data.labels:
            return ("train", "validation")
        return ("train", UNLABELLED) if self.data.has_unlabelled else ("train",)

    @property
    def data_checks(self) -> DataCheckSettings:
        """What is checked of the data before anything is trained on it."""
        return DataCheckSettings(
            drift=self.drift,
            duplicates=self.duplicates,
            significance_level=self.evaluation.significance_level,
        )

    @property
    def levers(self) -> tuple[str, ...]:
        """The keys, of those that may help a student, that can be given, or given another value."""
        need_labels = any(search.base.needs_labels for search in self.distillations)
        helpful = {
            "data.unlabelled": self.data.labels and not need_labels,
            "augment": self.augment is None and self.outside_teacher is None,
            "student.architecture": not isinstance(self.student, ContinuedModel),
        }
        return tuple(key for key, is_open in helpful.items() if is_open)

    def to_record(self) -> dict[str, Any]:
        """Returns what a run records of its settings: all but those that change no result."""
        return self.model_dump(
            mode="json", exclude={"beam", "notify", "retention", "metadata", "pipeline_root"}
        )

    def reads_predictions(self, distillation: Method) -> bool:
        """Tells whether a distillation reads stored predictions, be it only in place of labels."""
        return not self.data.labels or not self.asks_teacher(distillation)

    def asks_teacher(self, distillation: Method) -> bool:
        """Tells whether the teacher runs in the training steps of a distillation."""
        return self.teacher_predictions == "online" or distillation.asks_teacher

    @field_validator("name")
    @classmethod
    def _usable_name(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
            raise custom_error("must hold only letters, digits, '_' and '-'")
        return name

    @field_validator("pipeline_root")
    @classmethod
    def _root_can_be_reached(cls, root: str | None) -> str | None:
        if root is not None and root.startswith("file://"):
            raise custom_error(f"got {root!r}; give the path alone, without file://")
        if root is not None and scheme_of(root) not in (None, *_ROOTS):
            raise custom_error(
                f"{root!r} is in no store that TFX and Beam know; give a directory or a URI of "
                f"{', '.join(_ROOTS)}, such as s3://bucket/pipelines"
            )
        return root

    @field_validator("distillations", mode="before")
    @classmethod
    def _freeze(cls, distillations: Any) -> Any:
        if not isinstance(distillations, list | tuple) or not distillations:
            raise custom_error("must be a list of at least one distillation")
        return tuple(distillations)

    @model_validator(mode="after")
    def _distinct_names(self) -> Self:
        # A search of no lists is called as its only variant is.
        names = [
            name
            for search in self.distillations
            for name in dict.fromkeys([search.name, *(variant.name for variant in search.variants)])
        ]
        ids = [name.lower().replace("_", "-") for name in names]
        alike = [repr(name) for name, id_ in zip(names, ids, strict=True) if ids.count(id_) > 1]
        if alike:
            raise custom_error(
                f"distillations: {', '.join(alike)} must differ in more than '_', '-' and capitals"
            )
        return self

    @model_validator(mode="after")
    def _few_enough_variants(self) -> Self:
        sizes = [len(search.variants) for search in self.distillations if search.searched]
        if sum(sizes) > MOST_VARIANTS:
            raise custom_error(
                f"distillations: {' + '.join(map(str, sizes))} = {sum(sizes)} variants, more than "
                f"{MOST_VARIANTS}; shorten the lists"
            )
        if self.search.halving and not sizes:
            raise custom_error(
                "search.halving: no distillation has a list of values to choose from; give one, or remove it"
            )
        return self

    @model_validator(mode="after")
    def _possible_with_predictions_alone(self) -> Self:
        problem = next(_needs_of_teacher_model(self), None)
        if problem:
            raise custom_error(problem)
        return self

    @model_validator(mode="after")
    def _augmentation_is_taught(self) -> Self:
        of_unchanged = self.teacher_predictions != "online" and self.num_views is None
        if self.augment and of_unchanged and self.stores_predictions:
            raise custom_error(
                "augment: the stored predictions are not those of augmented images; set "
                "teacher_predictions: {views: 8}, or online, or remove augment"
            )
        if not self.augment and self.num_views is not None:
            raise custom_error(
                "teacher_predictions.views: without augment all views of an image are the same; set augment, "
                "or teacher_predictions: stored"
            )
        for search in self.distillations:
            if self.augment and self.augment.mixup and search.base.needs_labels:
                raise custom_error(
                    f"augment.mixup: a mixed image has two labels, but method {search.base.method} of "
                    f"{search.name!r} needs one; choose another method, or remove mixup"
                )
        return self

    @model_validator(mode="after")
    def _enough_is_stored(self) -> Self:
        for search in self.distillations if self.top_k else ():
            needs_all = any(variant.needs_all_logits for variant in search.variants)
            if needs_all and not self.asks_teacher(search.base):
                raise custom_error(
                    f"teacher_predictions.top_k: {search.name!r} ({search.base.method}) compares the logits "
                    "of all classes; choose kd without standardise_logits, which can do with those of the "
                    "most likely, or leave top_k out"
                )
        return self

    @model_validator(mode="after")
    def _something_is_left_in_sight(self) -> Self:
        height, width, _ = self.image.shape
        if self.augment and self.augment.padded_crop >= min(height, width):
            raise custom_error(
                f"augment.padded_crop: {self.augment.padded_crop} pixels may leave nothing of images of "
                f"{height}x{width}; take fewer"
            )
        return self

    @model_validator(mode="after")
    def _possible_without_labels(self) -> Self:
        problem = None if self.data.labels else next(_needs_of_labels(self), None)
        if problem:
            raise custom_error(problem)
        return self

    @model_validator(mode="after")
    def _possible_beside_labels(self) -> Self:
        problem = next(_problems_of_unlabelled(self), None) if self.data.has_unlabelled else None
        if problem:
            raise custom_error(problem)
        return self

    @model_validator(mode="after")
    def _spans_are_looked_for(self) -> Self:
        key = self.data.location_key
        location = str(getattr(self.data, key) or "") if key else ""
        if not holds_span(location):
            return self
        if not self.data.has_spans:
            raise custom_error(
                f"data.{key}: got {location!r}, but only folders of images come in spans; set data.source: "
                "image_folder, or name one place"
            )
        return self

    @model_validator(mode="after")
    def _reference_images_are_there(self) -> Self:
        if self.data.reference is None and self.evaluation.max_accuracy_drop_on_reference is not None:
            raise custom_error(
                "evaluation.max_accuracy_drop_on_reference: there are no reference images; give a folder of "
                "them as data.reference, or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _one_teacher_is_kept(self) -> Self:
        if self.retraining.keep_teacher is not None and not isinstance(self.teacher, ModelSettings):
            raise custom_error(
                "retraining.keep_teacher: only a single teacher that is trained is kept; leave it out"
            )
        return self

    @property
    def readers_of_what_ships(self) -> tuple[str, ...]:
        """The ids of the nodes that read the push directory."""
        return (
            "ExampleValidator",
            *(("Teacher",) if self.retraining.keep_teacher else ()),
            *(self._student_nodes if self.retraining.student_start == "champion" else ()),
            "Evaluator",
        )

    @model_validator(mode="after")
    def _what_ships_is_seen_on_kubeflow(self) -> Self:
        directory = pathlib.PurePosixPath(self.push.directory or "")
        if self.kubeflow.mounts("Pusher", directory):
            for node in self.readers_of_what_ships:
                if not self.kubeflow.mounts(node, directory):
                    raise custom_error(
                        f"push.directory {str(directory)!r} is on a volume of Pusher, but on none of {node}, "
                        "which reads what ships there; mount it at that node too, or with "
                        "kubeflow.every_node.volumes"
                    )
        return self

    @model_validator(mode="after")
    def _metadata_is_in_a_database(self) -> Self:
        try:
            if self.metadata is not None:
                parse_url(self.metadata)
        except ValueError as error:
            raise custom_error(f"metadata: {error}") from None
        return self

    @model_validator(mode="after")
    def _known_nodes(self) -> Self:
        known = self.kubeflow_node_ids
        for node in self.kubeflow.nodes:
            if node not in known:
                raise custom_error(f"kubeflow.nodes: there is no node {node!r}; allowed: {', '.join(known)}")
        return self


def _distiller_of(search: Search) -> str:
    return distiller_id(search.name)


def _problems_of_unlabelled(config: Config) -> Iterator[str]:
    """Says what in a configuration does not go with images without labels beside labelled ones."""
    key = "data.unlabelled" if config.data.unlabelled is not None else "data.labelled_fraction"
    if not config.data.labels:
        yield (
            f"{key}: with data.labels: false no image of the training split has a label; put all images "
            "there, and leave it out"
        )
    for index, search in enumerate(config.distillations):
        if search.base.needs_labels:
            yield (
                f"distillations.{index}.method: got {search.base.method!r}, which needs labels, but {key} "
                f"gives images without; choose {_possible_methods(config)}"
            )
        if any(variant.student_loss_weight == 1 for variant in search.variants):
            yield (
                f"distillations.{index}.student_loss_weight: got 1, with which nothing is learnt from the "
                f"images without labels that {key} gives; take less"
            )


def _possible_methods(config: Config) -> str:
    """Lists the methods that need neither labels nor a look into the teacher, if there are none to be had."""
    without_labels = config.data.has_unlabelled or not config.data.labels
    return ", ".join(
        name
        for name, method in METHODS.items()
        if not (without_labels and method.needs_labels)
        and not (config.outside_teacher and method.asks_teacher)
    )


def _needs_of_teacher_model(config: Config) -> Iterator[str]:
    """Says what in a configuration needs more of the teacher than predictions, if it has no more."""
    for node, teacher in config.teachers.items():
        if isinstance(teacher, OutsideTeacher) and isinstance(config.teacher, tuple):
            yield (
                f"teacher: got several, of which {node} is known by its predictions alone, but they are "
                "averaged as Keras models; average the probabilities yourself, in one file: "
                "teacher: {predictions: FILE}"
            )
    if config.outside_teacher is None:
        return
    missing = "but the teacher is known by its predictions alone"
    if config.num_views is not None:
        yield (
            "teacher_predictions.views: needs a teacher that runs on views of the images, "
            f"{missing}; leave it out, and augment"
        )
    if config.top_k is not None:
        yield (
            "teacher_predictions.top_k: cuts what is stored to distil from, "
            f"{missing}, which it is measured by, too; leave it out"
        )
    if config.augment:
        yield f"augment: needs a teacher that runs on the changed images, {missing}; leave it out"
    if config.teacher_predictions == "online":
        yield (
            "teacher_predictions: got 'online', which needs a teacher that runs in the training step, "
            f"{missing}; leave it out"
        )
    for index, search in enumerate(config.distillations):
        if search.base.asks_teacher:
            yield (
                f"distillations.{index}.method: got {search.base.method!r}, which looks into the teacher, "
                f"{missing}; choose {_possible_methods(config)}"
            )


def _needs_of_labels(config: Config) -> Iterator[str]:
    """Says what in a configuration needs labels in the training split."""
    missing = "but data.labels is false"
    if any(isinstance(teacher, ModelSettings) for teacher in config.teachers.values()):
        yield (
            f"teacher: needs labels to be trained, {missing}; use a pretrained one: "
            "teacher: {from: PATH} of a .keras file or a SavedModel"
        )
    for index, search in enumerate(config.distillations):
        key, weight = f"distillations.{index}", max(each.student_loss_weight for each in search.variants)
        if search.base.needs_labels:
            yield (
                f"{key}.method: got {search.base.method!r}, which needs labels, {missing}; choose "
                f"{_possible_methods(config)}"
            )
        if weight:
            yield f"{key}.student_loss_weight: got {weight:g}, {missing}; set it to 0"
    smoothing = config.student.label_smoothing
    if smoothing:
        yield f"student.label_smoothing: got {smoothing:g}, {missing}; leave it out"
    if config.class_weights is not None:
        yield f"class_weights: needs labels, {missing}; leave it out"
    of_scratch = "compares with a student trained from scratch, which needs labels"
    if config.evaluation.against_scratch == "better":
        yield f"evaluation.against_scratch: got 'better', which {of_scratch}, {missing}; leave it out"
    if config.evaluation.min_gap_closed is not None:
        yield f"evaluation.min_gap_closed: {of_scratch}, {missing}; leave it out"
    for index, change in enumerate(config.evaluation.changes):
        if change.baseline == "scratch":
            yield (
                f"evaluation.changes.{index}.baseline: got 'scratch', which {of_scratch}, {missing}; take "
                "teacher or incumbent"
            )
