"""The `kubeflow` section of the configuration: images, storage, and what each node's container is given."""

import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, model_validator

from components.errors import InputError
from components.settings.base import BeamFolder, NonNegativeInt, PositiveInt, Settings, custom_error
from components.settings.explaining import explain
from pipeline.config.beam import BeamSettings
from pipeline.config.nodes import LOOK, distiller_id, is_training_node

_CPU = re.compile(r"\d+(\.\d+)?|\d+m")
_MEMORY = re.compile(r"\d+(\.\d+)?[KMGT]i?")
_RESOURCE = re.compile(r"[a-z0-9.-]+/[A-Za-z0-9._-]+")
_STORAGE = re.compile(r"(s3|gs|minio)://[^/]+(/.*)?")


def _shaped(pattern: re.Pattern[str], expected: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise custom_error(f"must be {expected}")
        return value

    return AfterValidator(check)


Cpu = Annotated[str, _shaped(_CPU, "a number of cores as text, such as '2' or '500m'")]
Memory = Annotated[str, _shaped(_MEMORY, "an amount of memory, such as '8Gi' or '500Mi'")]
MountPath = Annotated[str, _shaped(re.compile(r"/.+"), "an absolute path, such as /data")]
Root = Annotated[BeamFolder, _shaped(_STORAGE, "an object store's URI, such as s3://bucket/path")]
NonEmpty = Annotated[str, Field(min_length=1)]


class Toleration(Settings):
    """A taint of cluster nodes that a container tolerates."""

    key: NonEmpty
    operator: Literal["Exists", "Equal"] = "Exists"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class Volume(Settings):
    """A persistent volume claim and where it appears in the container."""

    claim: NonEmpty
    mount_path: MountPath


class Secret(Settings):
    """A secret, as files below `mount_path` or as environment variables by the secret's keys."""

    name: NonEmpty
    mount_path: MountPath | None = None
    variables: dict[str, str] = {}

    @model_validator(mode="after")
    def _is_used(self) -> Self:
        if self.mount_path is None and not self.variables:
            raise custom_error("must have a mount_path or variables, or nothing sees it")
        return self


_Given = Volume | Secret
# Where a container finds it: a path, or a variable.
_Place = pathlib.PurePosixPath | str


class NodeSettings(Settings):
    """What one node's container gets; a setting left out is taken from the next more general ones.

    `cpu` and `memory` are both requested and the limit. `gpus` are of `gpu_resource`. `shared_memory` is
    the size of `/dev/shm`.
    """

    cache: bool | None = None
    retries: NonNegativeInt | None = None
    timeout_minutes: PositiveInt | None = None
    cpu: Cpu | None = None
    memory: Memory | None = None
    gpus: NonNegativeInt | None = None
    gpu_resource: Annotated[str, _shaped(_RESOURCE, "a resource such as nvidia.com/gpu")] | None = None
    shared_memory: Memory | None = None
    node_selector: dict[str, str] | None = None
    tolerations: Annotated[tuple[Toleration, ...], Field(strict=False)] | None = None
    volumes: Annotated[tuple[Volume, ...], Field(strict=False)] | None = None
    secrets: Annotated[tuple[Secret, ...], Field(strict=False)] | None = None


_EVERY_NODE = NodeSettings(cache=True, retries=2, timeout_minutes=24 * 60, cpu="2", memory="8Gi", gpus=0)
_TRAINING_NODE = NodeSettings(
    cpu="4",
    memory="16Gi",
    gpus=1,
    gpu_resource="nvidia.com/gpu",
    shared_memory="2Gi",
    tolerations=(Toleration(key="nvidia.com/gpu", operator="Exists", effect="NoSchedule"),),
)
# Kubeflow's cache sees neither what lies behind a data path nor what ships: this node looks.
_NODES: Mapping[str, NodeSettings] = {LOOK: NodeSettings(cache=False)}


class KubeflowSettings(Settings):
    """How the pipeline runs on Kubeflow Pipelines; a run on a laptop ignores it.

    A setting of `nodes` goes before one of `training_nodes`, and that before one of `every_node`.
    `gpu_image` is the image of the nodes that have GPUs; None is `image`. `pipeline_root` is where the
    artifacts of a run go; None leaves it to the server. `checkpoint_directory` is on a volume that the
    training nodes mount, so that a training goes on in another pod; None starts it over. `beam` is the engine
    to which the nodes that use Beam send their work from their pods.
    """

    image: NonEmpty = "distillation-pipeline:0.1.0"
    gpu_image: NonEmpty | None = None
    pipeline_root: Root | None = None
    service_account: NonEmpty | None = None
    checkpoint_directory: MountPath | None = None
    every_node: NodeSettings = NodeSettings()
    training_nodes: NodeSettings = NodeSettings()
    nodes: dict[str, NodeSettings] = {}
    beam: BeamSettings = BeamSettings()

    @model_validator(mode="after")
    def _checkpoints_outlive_pods(self) -> Self:
        if self.checkpoint_directory is None:
            return self
        directory = pathlib.PurePosixPath(self.checkpoint_directory)
        for node in ("Teacher", "Scratch", distiller_id("NAME"), *self.nodes):
            is_kept = self.mounts(node, directory)
            if is_training_node(node) and node != "TeacherPredictions" and not is_kept:
                raise custom_error(
                    f"checkpoint_directory {str(directory)!r} is on no volume of {node}, and would end "
                    "with its pod; mount one there with training_nodes.volumes"
                )
        return self

    @model_validator(mode="after")
    def _workers_are_elsewhere(self) -> Self:
        engine = {"flink": self.beam.flink, "spark": self.beam.spark}.get(self.beam.engine)
        if engine is not None and engine.workers.kind == "loopback":
            raise custom_error(
                f"beam.{self.beam.engine}.workers: loopback is the pod of the node, which no engine "
                "reaches; choose another kind"
            )
        return self

    @model_validator(mode="after")
    def _always_looks(self) -> Self:
        if self.of_node(LOOK).cache:
            raise custom_error(
                f"nodes.{LOOK}.cache: it looks whether anything is new, and so runs each time; leave it out"
            )
        return self

    def with_look(self, nodes: Iterable[str]) -> Self:
        """Returns settings by which Look is given the volumes and the secrets of other nodes, beside its own.

        One claim at two paths, or one secret, is one volume of the pod: Kubeflow's patch is merged by names.

        Args:
          nodes: Whose files it looks at. Of two claims at one place the one of `nodes.Look` counts, or else
            that of the first node, and last that of the more general levels.

        Raises:
          InputError: The nodes have different secrets in one place, and Look none of its own, or a claim and
            a secret are called the same.
        """
        nodes, own = tuple(nodes), self.nodes.get(LOOK, NodeSettings())
        self._check_secrets(nodes)
        given: dict[_Place, _Given] = {}
        for level in (own, *map(self.of_node, nodes), self.of_node(LOOK)):
            given |= {place: each for place, each in _by_place(level).items() if place not in given}
        volumes = tuple(each for each in given.values() if isinstance(each, Volume))
        secrets = tuple(each for each in given.values() if isinstance(each, Secret))
        _check_names(volumes, secrets)
        look = own.model_copy(update={"volumes": volumes, "secrets": secrets})
        return self.model_copy(update={"nodes": {**self.nodes, LOOK: look}})

    def _check_secrets(self, nodes: Iterable[str]) -> None:
        """Refuses what Look cannot have from two nodes, unless it has its own: another opens nothing."""
        own = _by_place(self.nodes.get(LOOK, NodeSettings()))
        first: dict[_Place, tuple[str, _Given]] = {}
        for node in nodes:
            for place, given in _by_place(self.of_node(node)).items():
                other, before = first.setdefault(place, (node, given))
                are_alike = given == before or (isinstance(given, Volume) and isinstance(before, Volume))
                if place not in own and not are_alike:
                    raise InputError(
                        f"kubeflow.nodes: {other} has {_describe(before)}, and {node} {_describe(given)}, "
                        f"but {LOOK} reads what both do, and can have one; give it one that opens both, as "
                        f"kubeflow.nodes.{LOOK}.secrets."
                    )

    def mounts(self, node: str, directory: pathlib.PurePosixPath) -> bool:
        """Tells whether a directory is on a volume of a node."""
        return any(directory.is_relative_to(each.mount_path) for each in self.of_node(node).volumes or ())

    def of_node(self, node: str) -> NodeSettings:
        """Returns what a node's container gets, all levels taken together.

        Args:
          node: The node's id.
        """
        levels = [_EVERY_NODE, self.every_node]
        if is_training_node(node):
            levels += [_TRAINING_NODE, self.training_nodes]
        levels += [_NODES.get(node, NodeSettings()), self.nodes.get(node, NodeSettings())]
        given = {key: value for level in levels for key, value in level if value is not None}
        return NodeSettings(**given)


def _by_place(node: NodeSettings) -> dict[_Place, _Given]:
    """Returns volumes and secrets apart, each for one place; of several in one the last, as in Kubernetes."""
    places: dict[_Place, _Given] = {
        pathlib.PurePosixPath(each.mount_path): each for each in node.volumes or ()
    }
    for secret in node.secrets or ():
        if secret.mount_path:
            place = pathlib.PurePosixPath(secret.mount_path)
            places[place] = Secret(name=secret.name, mount_path=str(place))
        for key, variable in sorted(secret.variables.items()):
            places[variable] = Secret(name=secret.name, variables={key: variable})
    return places


def _describe(given: _Given) -> str:
    if isinstance(given, Volume):
        return f"the claim {given.claim!r} at {given.mount_path!r}"
    if given.mount_path:
        return f"the secret {given.name!r} at {given.mount_path!r}"
    ((key, variable),) = given.variables.items()
    return f"{key!r} of the secret {given.name!r} as {variable!r}"


def _check_names(volumes: Iterable[Volume], secrets: Iterable[Secret]) -> None:
    """Refuses what would be one volume of two kinds: Kubeflow calls a pod's volume as what it holds."""
    claims = {each.claim for each in volumes}
    for secret in secrets:
        if secret.mount_path and secret.name in claims:
            raise InputError(
                f"kubeflow.nodes: {LOOK} has the files of other nodes, but Kubeflow cannot mount the claim "
                f"{secret.name!r} and a secret of that name in one pod; give one of them another name, or "
                f"kubeflow.nodes.{LOOK} others at their paths."
            )


def check_workers_reach_artifacts(settings: KubeflowSettings) -> None:
    """Refuses an engine whose workers would look for the artifacts in a pod.

    Raises:
      InputError: The artifacts go to no object store that workers of Beam's reach by themselves.
    """
    engine, root = settings.beam.engine, settings.pipeline_root
    if engine != "direct" and not (root and root.startswith(("s3://", "gs://"))):
        raise InputError(
            f"kubeflow.beam: the workers of {engine} read and write the artifacts where they lie, but "
            f"kubeflow.pipeline_root is {root or 'not given'}; give it a place that begins with s3:// or gs://."
        )


def override(settings: KubeflowSettings, *, image: str | None, pipeline_root: str | None) -> KubeflowSettings:
    """Returns settings with what the command line says in their place.

    Args:
      settings: The configuration's.
      image: The image of all nodes; None is the configuration's.
      pipeline_root: Where the artifacts go; None is the configuration's.

    Raises:
      InputError: The root is no object store's URI.
    """
    changes: dict[str, str | None] = {}
    if image:
        changes |= {"image": image, "gpu_image": None}
    if pipeline_root:
        changes |= {"pipeline_root": _check_root(pipeline_root)}
    return settings.model_copy(update=changes)


def _check_root(pipeline_root: str) -> str:
    try:
        return TypeAdapter(Root).validate_python(pipeline_root)
    except ValidationError as error:
        raise InputError(f"--pipeline-root: {explain(error)[0]}.") from None
