"""A teacher's predictions, stored as the node stores them on a laptop."""

import pathlib
from collections.abc import Mapping, Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from components import tfx_patches
from components.layout import MANIFEST_FILE, predictions_directory
from components.settings.training import Views
from components.teacher_predictions.predicting import write_predictions
from components.teacher_predictions.store import fingerprint_teacher, open_predictions, views_of

_IN_MEMORY = "--direct_running_mode=in_memory"


def store_predictions(
    teacher_file: pathlib.Path,
    example_files: Mapping[str, Sequence[str]],
    *,
    image_shape: tuple[int, int, int],
    directory: pathlib.Path,
    views: Views | None = None,
    top_k: int | None = None,
) -> dict[str, list[str]]:
    """Stores what a teacher says of the examples of some splits, unless that is there, and returns the files.

    Args:
      teacher_file: Its `.keras` file.
      example_files: TFRecord files of transformed examples, by split.
      image_shape: `(height, width, channels)`.
      directory: Where to write.
      views: Of the images to train on; None is the images as they are.
      top_k: Of how many classes logits are stored one by one; None is of all.
    """
    directories = {split: predictions_directory(str(directory), split) for split in example_files}
    if not all(pathlib.Path(each, MANIFEST_FILE).exists() for each in directories.values()):
        with tfx_patches.direct_runner(), tfx_patches.no_repetition():
            write_predictions(
                example_files,
                teacher_file=str(teacher_file),
                image_shape=image_shape,
                views=views,
                top_k=top_k,
                uri=str(directory),
                kept=f"{directory}.shards",
                make_pipeline=lambda: beam.Pipeline(options=PipelineOptions([_IN_MEMORY])),
                report=f"{directory}.json",
            )
    return {
        split: open_predictions(
            directories[split],
            teacher_fingerprint=fingerprint_teacher(str(teacher_file)),
            num_examples=None,
            example_files=files,
            views=views_of(split, views),
        )
        for split, files in example_files.items()
    }
