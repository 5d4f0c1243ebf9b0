"""A small TFX pipeline: Source, then Sink, which can be told to fail."""

import logging
import pathlib
import threading

from tfx import v1 as tfx
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.orchestration import metadata
from tfx.types.standard_artifacts import String

from components.errors import InputError
from components.sharding.progress import progress_told
from components.training.callbacks.progress import TrainingProgress


class Seen(logging.Handler):
    """Knows whether there was a log record."""

    def __init__(self) -> None:
        super().__init__()
        self.event = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.event.set()


def write_shard(path: pathlib.Path) -> None:
    """Writes one of two shards, and waits until that was told."""
    logger, seen = logging.getLogger("components.sharding.progress"), Seen()
    logger.addHandler(seen)
    with progress_told([str(path), f"{path}-other"], seconds=0.01):
        path.write_text("whole")
        assert seen.event.wait(timeout=60)
    logger.removeHandler(seen)


@component
def Source(text: OutputArtifact[String]) -> None:
    text.value = "text"
    progress = TrainingProgress(
        model="Source", epoch=2, epochs=3, step=4, steps=5, loss=0.5, accuracy=0.75, seconds_left=6.0
    )
    logging.getLogger("components.training.callbacks.progress").info(
        "2/3", extra={"training_progress": progress}
    )
    write_shard(pathlib.Path(text.uri).with_name("shard"))


@component
def Sink(text: InputArtifact[String], fault: Parameter[str]) -> None:
    if fault == "input":
        raise InputError("The image 'a.jpg' is not readable.")
    if fault == "bug":
        raise KeyError("logits")


def create_pipeline(directory: str, *, fault: str) -> tfx.dsl.Pipeline:
    source = Source()
    components = [source, Sink(text=source.outputs["text"], fault=fault)]
    if fault == "no input":
        components = [Sink(text=tfx.dsl.Channel(type=String), fault=fault)]
    return tfx.dsl.Pipeline(
        pipeline_name="example",
        pipeline_root=f"{directory}/artifacts",
        components=components,
        enable_cache=True,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(f"{directory}/metadata.sqlite"),
    )
