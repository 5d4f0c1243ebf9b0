"""Stores a teacher's predictions shard by shard, and keeps what is whole for the next attempt."""

import functools
import hashlib
import itertools
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence

import apache_beam as beam
import keras
import tensorflow as tf

import components
from components.files import fingerprint_all
from components.layout import predictions_directory
from components.settings.training import Views
from components.sharding.shards import Shard, Written, write_shards
from components.storage.copies import local_copy
from components.storage.files import copy, file_names, files_below, remove
from components.storage.uri import as_path, is_remote, join, name_of, parent_of
from components.teacher_predictions import store
from components.teacher_predictions.shard_writer import choose_batch_size, open_writer
from components.teacher_predictions.store import (
    fingerprint_teacher,
    full_disk_explained,
    views_of,
    write_manifest,
)
from components.telling import tell

_NAME = "TeacherPredictions"
# The code that decides what is stored, beside that of the views.
_CODE = (
    "teacher_predictions/*.py",
    "training/inputs/batches.py",
    "training/inputs/stored_logits.py",
    "transform/pixels.py",
)
_ROOT = pathlib.Path(components.__file__).parent


def write_predictions(
    example_files: Mapping[str, Sequence[str]],
    *,
    teacher_file: str,
    image_shape: tuple[int, int, int],
    views: Views | None,
    top_k: int | None,
    uri: str,
    kept: str,
    make_pipeline: Callable[[], beam.Pipeline],
    report: str,
) -> None:
    """Runs the teacher once over the examples of some splits, or over each of their views.

    A killed attempt leaves those shards that are whole in a place that the next one finds; of another
    teacher, other examples, views or code, or of more classes, they lie elsewhere there. All that is there
    goes at the end.

    Args:
      example_files: By split, TFRecord files of transformed examples, each a path or a URI.
      teacher_file: Its `.keras` file, likewise.
      image_shape: `(height, width, channels)`.
      views: Of the images to train on, if they are seen in views.
      top_k: Of how many classes logits are stored one by one; None is of all.
      uri: The artifact, in which there is a directory for each split in the end.
      kept: Where shards are kept until all are whole; it belongs to these predictions alone.
      make_pipeline: Makes a Beam pipeline.
      report: A file that Beam's workers can write.

    Raises:
      InputError: The disk is full.
    """
    batch_size = choose_batch_size(image_shape)
    fingerprint = fingerprint_teacher(str(local_copy(teacher_file)))
    identity = _identify(
        example_files,
        teacher=fingerprint,
        image_shape=image_shape,
        batch_size=batch_size,
        views=views,
        top_k=top_k,
    )
    place = join(kept, identity)
    with full_disk_explained(uri):
        _tell_what_is_there(example_files, place=place)
        for of_views, splits in itertools.groupby(example_files, key=lambda split: views_of(split, views)):
            shards = {
                split: [
                    Shard(source=file, target=join(place, split, name_of(file)))
                    for file in sorted(example_files[split])
                ]
                for split in splits
            }
            written = write_shards(
                list(itertools.chain.from_iterable(shards.values())),
                open_writer=functools.partial(
                    open_writer,
                    teacher_file,
                    image_shape=image_shape,
                    batch_size=batch_size,
                    views=of_views,
                    top_k=top_k,
                ),
                make_pipeline=make_pipeline,
                report=report,
            )
            for split in shards:
                _move(
                    [each for each in written if name_of(parent_of(each.target)) == split],
                    directory=predictions_directory(uri, split),
                    teacher_fingerprint=fingerprint,
                    views=of_views,
                    top_k=top_k,
                )
    remove(kept)


def _identify(
    example_files: Mapping[str, Sequence[str]],
    *,
    teacher: str,
    image_shape: tuple[int, int, int],
    batch_size: int,
    views: Views | None,
    top_k: int | None,
) -> str:
    """Returns a hash over all that decides what is stored; a file counts by its size and its time."""
    versions = {
        split: [
            (each.name, each.size, each.version)
            for folder in sorted({parent_of(file) for file in files})
            for each in sorted(files_below(folder), key=lambda entry: entry.name)
        ]
        for split, files in example_files.items()
    }
    parts = {
        "examples": versions,
        "files": dict(example_files),
        "teacher": teacher,
        "image": image_shape,
        "batch": batch_size,
        "views": views and store.fingerprint_views(views),
        "top_k": top_k,
        "code": fingerprint_all(path for pattern in _CODE for path in sorted(_ROOT.glob(pattern))),
        "libraries": f"Keras {keras.__version__}, TensorFlow {tf.__version__}",
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _tell_what_is_there(example_files: Mapping[str, Sequence[str]], *, place: str) -> None:
    names = [name for split in example_files for name in file_names(join(place, split))]
    there = sum(not name.startswith(".") for name in names)
    if there:
        count = sum(map(len, example_files.values()))
        tell(f"goes on with {there} of {count} shards, from an attempt that was interrupted", name=_NAME)


def _move(
    written: Sequence[Written],
    *,
    directory: str,
    teacher_fingerprint: str,
    views: Views | None,
    top_k: int | None,
) -> None:
    """Puts the shards of a split where they belong, and says what they are."""
    for each in written:
        _link(each.target, join(directory, name_of(each.target)))
    shards = {
        name_of(each.target): store.Shard(num_examples=each.num_records, num_bytes=each.num_bytes)
        for each in written
    }
    write_manifest(
        directory, teacher_fingerprint=teacher_fingerprint, shards=shards, views=views, top_k=top_k
    )


def _link(source: str, target: str) -> None:
    """Gives a file that does not change a second name, or copies it where there is no such thing."""
    if is_remote(source) or is_remote(target):
        copy(source, target)
        return
    path = as_path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(as_path(source), path)
    except OSError:
        shutil.copyfile(as_path(source), path)
