"""How each node's time, memory and output grow with the data.

    .venv/bin/python -m benchmarks.scale --data-dir DIR --folder FOLDER [--images 6000 60000 600000] \
        [--rounds 3] [--beam KEY=VALUE ... [--parallelism 1 2]]

`--data-dir` holds MNIST in TFDS's format. For each number of images MNIST is replicated, each copy with noise
of its own, into a data set of that size, of which 80 % are for training and 10 % each to validate and to test
on. Every node runs in a process of its own, and what it reads comes from the cache: with Beam's direct runner
and, where the settings of `beam` for a Flink cluster are given, those that use Beam there, too, with the most
images. Of these the peak of memory is that of the process that submits the work. The models train for one
epoch. What takes seconds is told from noise by several rounds, of which the median counts, and of the peaks
the highest; with the most images there is one round. The exponent of a node is the slope of the logarithm of
its seconds, less those with the fewest images, over that of the number of images: what starting costs does
not count. `--folder` keeps what was measured, so that the same command goes on where it was stopped, and may
be given more images or a cluster later.
"""

import argparse
import contextlib
import copy
import dataclasses
import pathlib
import shlex
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import Execution
from tfx.dsl.components.base.base_node import BaseNode

from benchmarks.peak import peak_kib
from benchmarks.table import RESULTS
from components.evaluator.measure.machine import describe_machine, describe_versions
from components.files import read_json, write_json

ROOT = pathlib.Path(__file__).parent.parent
IMAGES = (6_000, 60_000, 600_000)
EXPONENT, MEMORY = 1.05, 1.1
USE_BEAM = ("ExampleGen", "StatisticsGen", "Transform", "TeacherPredictions", "Evaluator")
DIRECT = "direct"
NOISE = 8
VERSION = "1.0.0"


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a node took: seconds, the peak of its resident memory, and the bytes of what it wrote."""

    seconds: float
    peak_bytes: int
    output_bytes: int


def main() -> None:
    """Measures, prints a table and writes the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", required=True, help="Where TFDS's MNIST is prepared already.")
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="For data and artifacts.")
    parser.add_argument("--images", type=int, nargs="+", default=IMAGES, help="How many, in ascending order.")
    parser.add_argument("--rounds", type=int, default=3, help="With all but the most images.")
    parser.add_argument("--beam", nargs="*", default=(), help="Settings of beam for Flink, as for --set.")
    parser.add_argument("--parallelism", type=int, nargs="+", default=(1, 2), help="Of workers on Flink.")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--set", action="append", default=[], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        run_node(arguments.child[0], pathlib.Path(arguments.child[1]), overrides=arguments.set)
        return
    engines = {DIRECT: ["beam.engine=direct"]}
    for parallelism in arguments.parallelism if arguments.beam else ():
        settings = [*arguments.beam, "engine=flink", f"flink.parallelism={parallelism}"]
        engines[f"flink-{parallelism}"] = [f"beam.{each}" for each in settings]
    found: dict[str, dict[str, dict[str, Any]]] = {engine: {} for engine in engines}
    for images in arguments.images:
        replicate(arguments.data_dir, arguments.folder / "data", images=images)
        for engine, settings in engines.items():
            if engine != DIRECT and images != max(arguments.images):
                continue
            overrides = [*settings, *shortened(arguments.folder / "data", images=images)]
            folder = arguments.folder / str(images)
            rounds = 1 if images == max(arguments.images) else arguments.rounds
            for node, measured in measure(folder, engine=engine, overrides=overrides, rounds=rounds):
                found[engine].setdefault(node, {})[str(images)] = measured
                print(engine, images, node, measured, flush=True)
    report(found, command=shlex.join(["python", "-m", "benchmarks.scale", *sys.argv[1:]]))


def replicate(data_dir: str, folder: pathlib.Path, *, images: int) -> None:
    """Writes so many images of MNIST, each with noise of its own, as a data set of TFDS."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    if (folder / name_of(images) / VERSION).exists():
        return
    mnist = tfds.load("mnist", split="train+test", data_dir=data_dir, download=False)
    pictures = [(each["image"].numpy(), int(each["label"])) for each in mnist]
    random = np.random.default_rng(0)

    def examples() -> Iterator[dict[str, Any]]:
        for number in range(images):
            image, label = pictures[number % len(pictures)]
            noise = random.integers(-NOISE, NOISE + 1, image.shape)
            yield {"image": np.clip(image + noise, 0, 255).astype(np.uint8), "label": label}

    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(28, 28, 1)),
            "label": tfds.features.ClassLabel(num_classes=10),
        }
    )
    specification = {"image": tf.TensorSpec((28, 28, 1), tf.uint8), "label": tf.TensorSpec((), tf.int64)}
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name_of(images),
        version=VERSION,
        features=features,
        split_datasets={"train": tf.data.Dataset.from_generator(examples, output_signature=specification)},
        data_dir=folder,
    )


def name_of(images: int) -> str:
    """Returns the name of the data set of so many images."""
    return f"mnist_{images}"


def shortened(folder: pathlib.Path, *, images: int) -> list[str]:
    """Returns what makes MNIST's experiment one of so many images, in which all models train for an epoch."""
    splits = "{train: 'train[:80%]', validation: 'train[80%:90%]', test: 'train[90%:]'}"
    return [
        f"name={name_of(images)}",
        f"data.dataset={name_of(images)}",
        f"data.data_dir={folder}",
        f"data.splits={splits}",
        *("teacher.epochs=1", "student.epochs=1", "evaluation.min_accuracy=0.0"),
    ]


def measure(
    folder: pathlib.Path, *, engine: str, overrides: Sequence[str], rounds: int
) -> Iterator[tuple[str, Mapping[str, float]]]:
    """Runs one node after the other, in each round in a process of its own, unless that was done before."""
    from pipeline.config.loading import load_config

    settings = [part for override in overrides for part in ("--set", override)]
    required = ["--data-dir", "", "--folder", ""]
    for node in load_config(ROOT / "configs/mnist.yaml", overrides=overrides).node_ids:
        if engine != DIRECT and node not in USE_BEAM:
            continue
        results = [folder / "measured" / engine / f"{node}-{number}.json" for number in range(rounds)]
        for result in results:
            if not result.exists():
                result.parent.mkdir(parents=True, exist_ok=True)
                command = [sys.executable, "-m", "benchmarks.scale", "--child", node, str(result)]
                with (folder / "run.log").open("ab") as log:
                    subprocess.run([*command, *required, *settings], check=True, stdout=log, stderr=log)
        yield node, typical([read_json(result) for result in results])


def typical(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Returns the median of the seconds, and the most of everything else."""
    most = {name: max(each[name] for each in rounds) for name in rounds[0]}
    return most | {"seconds": statistics.median(each["seconds"] for each in rounds)}


def run_node(node: str, result: pathlib.Path, *, overrides: Sequence[str]) -> None:
    """Runs a node, whose inputs are in the cache, and writes what it took."""
    from tfx.orchestration.pipeline import Pipeline

    from pipeline.beam.operator import Engine
    from pipeline.config.loading import load_config
    from pipeline.graph import create_pipeline
    from pipeline.local.run import run_pipeline
    from pipeline.local.workspace import Workspace

    config = load_config(ROOT / "configs/mnist.yaml", overrides=overrides)
    workspace = Workspace(result.parents[2])

    def up_to_node() -> Pipeline:
        whole = create_pipeline(
            config,
            root=workspace.artifacts,
            push_directory=str(workspace.directory / "pushed"),
            metadata=workspace.database.connection_config(),
        )
        components = needed_for(next(each for each in whole.components if each.id == node))
        for each in components:
            each.downstream_nodes.intersection_update(components)
        return Pipeline(
            pipeline_name=whole.pipeline_info.pipeline_name,
            pipeline_root=whole.pipeline_info.pipeline_root,
            components=components,
            enable_cache=True,
            metadata_connection_config=workspace.database.connection_config(),
        )

    before = size_of(workspace.artifacts, node)
    with run_again(node, store=workspace.database.open_store(), keep=config.beam.engine == DIRECT):
        nodes = run_pipeline(
            up_to_node,
            orchestrator="local",
            engine=Engine(settings=config.beam, root=workspace.artifacts),
            report=lambda event: None,
        )
    if nodes[node]["state"] != "completed":
        raise RuntimeError(f"{node} was taken from the cache")
    measured = Measured(
        seconds=nodes[node]["seconds"],
        peak_bytes=peak_kib() * 1024,
        output_bytes=size_of(workspace.artifacts, node) - before,
    )
    write_json(result, dataclasses.asdict(measured))


@contextlib.contextmanager
def run_again(node: str, *, store: MetadataStore, keep: bool) -> Iterator[None]:
    """Hides from the cache what a node has made; in the end only that, or only what was made meanwhile."""

    def executions() -> dict[int, Execution]:
        contexts = [each for each in store.get_contexts_by_type("node") if each.name.endswith(f".{node}")]
        return {each.id: each for one in contexts for each in store.get_executions_by_context(one.id)}

    def hide(found: Iterable[Execution]) -> None:
        hidden = copy.deepcopy(list(found))
        for each in hidden:
            each.last_known_state = Execution.CANCELED
        store.put_executions(hidden)

    before = executions()
    hide(before.values())
    replaced = False
    try:
        yield
        replaced = keep
    finally:
        if not replaced:
            hide(each for number, each in executions().items() if number not in before)
            store.put_executions(before.values())


def size_of(artifacts: str, node: str) -> int:
    """Returns the bytes of what a node has written."""
    return sum(file.stat().st_size for file in pathlib.Path(artifacts, node).rglob("*") if file.is_file())


def needed_for(node: BaseNode) -> list[BaseNode]:
    """Returns a node and all on which it depends."""
    found: dict[BaseNode, None] = {node: None}
    for each in list(node.upstream_nodes):
        found |= dict.fromkeys(needed_for(each))
    return list(found)


def report(found: dict[str, dict[str, dict[str, Any]]], *, command: str) -> None:
    """Prints a line for each node, with its exponent and the growth of its memory, and writes all of it."""
    summary: dict[str, dict[str, Any]] = {}
    for engine, nodes in found.items():
        for node, sizes in nodes.items():
            images = np.array(list(map(int, sizes)))
            seconds = np.array([each["seconds"] for each in sizes.values()])
            peaks = [each["peak_bytes"] for each in sizes.values()]
            growth = {
                "exponent": exponent(images, seconds),
                "memory_growth": peaks[-1] / peaks[-2] if len(peaks) > 1 else None,
            }
            summary.setdefault(engine, {})[node] = growth
            print(engine, node, seconds.round(1).tolist(), [peak >> 20 for peak in peaks], growth)
    for engine, nodes in found.items():
        if engine != DIRECT:
            ratio = seconds_of(nodes, among=nodes) / seconds_of(found[DIRECT], among=nodes)
            summary[engine]["of the direct runner's seconds"] = ratio
            print(engine, f"takes {ratio:.2f} times as long as the direct runner")
    content = {
        "command": command,
        "bounds": {"exponent": EXPONENT, "memory_growth": MEMORY},
        "summary": summary,
        "measured": found,
        "machine": describe_machine(),
        "versions": describe_versions(),
    }
    write_json(RESULTS / "scale.json", content)


def seconds_of(measured: dict[str, dict[str, Any]], *, among: Iterable[str]) -> float:
    """Returns the seconds of some nodes together, with the most images."""
    return sum(measured[node][max(measured[node], key=int)]["seconds"] for node in among)


def exponent(images: np.ndarray, seconds: np.ndarray) -> float | None:
    """Returns the slope of log seconds over log images, less the seconds of the fewest; None of too few."""
    if len(images) < 3 or not (np.diff(seconds) > 0).all():  # A line has two points.
        return None
    slope, _ = np.polyfit(np.log(images[1:]), np.log(seconds[1:] - seconds[0]), 1)
    return float(slope)


if __name__ == "__main__":
    main()
