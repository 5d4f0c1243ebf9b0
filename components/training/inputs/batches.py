"""Reading transformed examples for training.

The order of the training examples depends on the files, the seed and the epoch alone, never on what
is read beside them: every student of one comparison sees the same batches in the same order, but for
those that see images without labels too.
"""

import collections
import contextlib
import dataclasses
import math
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from components.errors import InputError
from components.reading import untuned
from components.settings.training import TrainingJob, Views
from components.training.inputs.augmentation import (
    BLOCK,
    Changes,
    augment,
    changes_in_epoch,
    changes_of_view,
    mix,
    with_partners,
)
from components.training.inputs.stored_logits import HALF, unpack
from components.training.inputs.training_data import TrainingData
from components.transform.pixels import ImageShape, unpack_images

# Memory that the shuffle buffer may take. Larger data sets are shuffled within a window of that size;
# ExampleGen has already laid them out in an order that does not follow the classes.
SHUFFLE_BYTES = 160 * 2**20
# Of an example in that buffer, beside pixels and logits, as measured with small images.
_MORE_BYTES = 400

# What becomes of an example is decided in Python, before TensorFlow sees one. There is nothing to convert,
# which takes each process a second.
_plain = tf.autograph.experimental.do_not_convert

_COUNTING_BATCH = 64
_OTHER_EXAMPLES = "belong to other examples, or stand in another order"

Batch = tuple[tf.Tensor, dict[str, tf.Tensor]] | tuple[tf.Tensor, dict[str, tf.Tensor], tf.Tensor]


def training_batches(data: TrainingData, job: TrainingJob, *, epoch: tf.Variable) -> tf.data.Dataset:
    """Reads the shuffled batches of an epoch.

    The order depends on the job's seed and the epoch alone; the changes to an image on its id, the seed, and
    the epoch or the view. Predictions are those of the view; without views, of the images as they were: of
    changed images, those are nothing for an objective to learn from.

    Args:
      data: What to train on.
      job: How: its batch size (the last batch of an epoch may be smaller), seed, image size and changes to
        the images. Examples without labels need predictions, and the teacher's most likely class stands for
        the label.
      epoch: The number of the epoch, an int64 scalar; looked at whenever reading starts over.

    Returns:
      A dataset of `(images, targets)` of known length: images float32
      `[batch, height, width, channels]` in [0, 1]; targets `label` int64 `[batch]`, below 0 where
      there is none, with predictions `teacher_logits` float32 `[batch, num_classes]`. With mixup there are
      two more: `mixed_label`, int64 `[batch]`, the label of the image that was mixed in, and `mixing`,
      float32 `[batch]`, the share of the first image, at least 1/2: `label` stays that of the larger share.
      With weights of classes or of examples, of `(images, targets, sample_weight)`, the product of the two,
      float32 `[batch]`. Reading fails if the files hold more or fewer examples than said, or if the
      predictions belong to other examples.
    """
    parts = _parts(data, job)
    count, batch_size = sum(part.num_examples for part in parts), job.model.batch_size
    window = max(SHUFFLE_BYTES // _bytes_of_example(job, num_classes=len(data.class_names)), 10 * batch_size)
    if count <= window:
        parts = [part.cache() for part in parts]  # The shuffle buffer holds all of them, the very same bytes.

    @_plain
    def shuffled_batches(_: tf.Tensor) -> tf.data.Dataset:
        # Else the process's global seed would take part in the order; with 0 there, TensorFlow fails.
        tf.compat.v1.get_default_graph().seed = 1
        changes = changes_in_epoch(job, epoch)
        examples = _interleave(
            [part.pair(changes) for part in parts], counts=[part.num_examples for part in parts]
        )
        shuffled = examples.shuffle(min(count, window), seed=job.seed + epoch, reshuffle_each_iteration=False)
        return shuffled.batch(batch_size)

    @_plain
    def parse(*columns: tf.Tensor) -> Batch:
        return _parse_training_batch(
            columns[0],
            predictions=columns[1] if data.prediction_files else None,
            partners=columns[-1] if job.mixes else None,
            data=data,
            job=job,
            epoch=epoch,
        )

    return (
        tf.data.Dataset.from_tensors(0)
        .flat_map(shuffled_batches)
        .apply(tf.data.experimental.assert_cardinality(math.ceil(count / batch_size)))
        .map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(tf.data.AUTOTUNE)
        .with_options(_options())
    )


def ordered_batches(
    files: Sequence[str],
    *,
    image_shape: ImageShape,
    batch_size: int,
    num_examples: int | None = None,
    prediction_files: Sequence[str] = (),
    num_classes: int = 0,
) -> tf.data.Dataset:
    """Reads batches in the order of the files.

    Args:
      files: TFRecord files of transformed examples.
      image_shape: `(height, width, channels)`.
      batch_size: Examples in a batch; the last one may be smaller.
      num_examples: How many examples the files hold together, if known.
      prediction_files: TFRecord files of the teacher's predictions for those examples, in the same order,
        if they have no labels; its most likely class then stands for the label.
      num_classes: Width of the predictions; needed if there are any.

    Returns:
      A dataset of `(images, targets)`: images as in `training_batches`; targets `label` int64 `[batch]`
      and `id` string `[batch]`. Reading fails if the predictions belong to other examples.
    """
    records = _read_columns(_columns(files, prediction_files), num_examples)

    @_plain
    def parse(examples: tf.Tensor, predictions: tf.Tensor | None = None) -> Batch:
        features = parse_examples(examples)
        images = unpack_images(features["image"], image_shape=image_shape)
        label = features["label"]
        if predictions is not None:
            label = tf.argmax(_logits_of(predictions, ids=features["id"], width=num_classes), axis=-1)
        return images, {"label": label, "id": features["id"]}

    return (
        records.batch(batch_size)
        .map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(tf.data.AUTOTUNE)
        .with_options(_options())
    )


def batches_of_file(
    file: str | tf.Variable, *, image_shape: ImageShape, batch_size: int, views: Views | None = None
) -> tf.data.Dataset:
    """Reads the batches of a file, in order.

    Args:
      file: A TFRecord file of transformed examples, whose labels are not looked at; or a variable that holds
        its path, looked at whenever reading starts over.
      image_shape: `(height, width, channels)`.
      batch_size: Examples in a batch; the last one may be smaller.
      views: Of the images; None reads the images as they are.

    Returns:
      A dataset of `(images, ids)`: images as in `training_batches`; ids string `[batch]`. With views, a batch
      comes once for each of them, in order.
    """

    @_plain
    def view_of(view: tf.Tensor) -> tf.data.Dataset:
        records = _read([tf.convert_to_tensor(file)])
        if views is not None and views.augment.mixup:
            records = with_partners(records.batch(BLOCK), changes=changes_of_view(views, view))
        return records.batch(batch_size).map(lambda *examples: (view, *examples))

    @_plain
    def parse(
        view: tf.Tensor, examples: tf.Tensor, partners: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        texts = {key: tf.io.FixedLenFeature([], tf.string) for key in ("image", "id")}
        features = tf.io.parse_example(examples, texts)
        others = None if partners is None else tf.io.parse_example(partners, texts)
        changes = None if views is None else changes_of_view(views, view)
        images, _ = _unpack(features, others, image_shape=image_shape, changes=changes)
        return images, features["id"]

    count = 1 if views is None else views.number
    return (
        tf.data.Dataset.range(count)
        .interleave(view_of, cycle_length=count, block_length=1)
        .map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(2)
        .with_options(_options())
    )


def epoch_counter() -> tf.Variable:
    """Returns the number of an epoch, 0, as `training_batches` wants it."""
    return tf.Variable(0, dtype=tf.int64, trainable=False)


def count_labels(files: Sequence[str]) -> dict[int, int]:
    """Counts the examples of each label in TFRecord files of transformed examples."""
    return dict(collections.Counter(_read_feature(files, "label", dtype=tf.int64)))


def read_ids(file: str) -> list[bytes]:
    """Returns the ids of the transformed examples in a TFRecord file, in their order."""
    return list(_read_feature([file], "id", dtype=tf.string))


def _read_feature(files: Sequence[str], name: str, *, dtype: tf.DType) -> Iterator[Any]:
    """Yields a feature of each example in TFRecord files of transformed examples."""
    specification = {name: tf.io.FixedLenFeature([], dtype)}
    for examples in _read(files).batch(_COUNTING_BATCH):
        yield from tf.io.parse_example(examples, specification)[name].numpy().tolist()


def parse_examples(examples: tf.Tensor, *, weighted: bool = False) -> dict[str, tf.Tensor]:
    """Parses a batch of serialized transformed examples.

    Args:
      examples: A string tensor `[batch]`.
      weighted: Whether they have a feature `weight`.

    Returns:
      `image`, `label` and `id`, and `weight` if there is one, each `[batch]`.
    """
    specification = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
        "id": tf.io.FixedLenFeature([], tf.string),
    }
    if weighted:
        specification["weight"] = tf.io.FixedLenFeature([], tf.float32)
    return tf.io.parse_example(examples, specification)


@contextlib.contextmanager
def damage_explained(*, example_files: Sequence[str], prediction_files: Sequence[str]) -> Iterator[None]:
    """Raises an InputError where TensorFlow finds that what it reads is damaged, or does not fit together.

    Args:
      example_files: The files of examples that are read in this context.
      prediction_files: The files of predictions, if any.

    Raises:
      InputError: The files cannot be read.
    """
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        if _OTHER_EXAMPLES in str(error):
            raise InputError(
                f"The teacher predictions below {_artifacts_of(prediction_files)} {_OTHER_EXAMPLES}: "
                "delete that directory and run again."
            ) from error
        if isinstance(error, tf.errors.DataLossError):
            places = _artifacts_of([*example_files, *prediction_files])
            raise InputError(
                f"A file below {places} is damaged and cannot be read: delete that directory and run again."
            ) from error
        raise


def _parse_training_batch(
    examples: tf.Tensor,
    *,
    predictions: tf.Tensor | None,
    partners: tf.Tensor | None,
    data: TrainingData,
    job: TrainingJob,
    epoch: tf.Tensor,
) -> Batch:
    features = parse_examples(examples, weighted=data.weighted)
    others = None if partners is None else parse_examples(partners)
    changes = changes_in_epoch(job, epoch)
    images, share = _unpack(features, others, image_shape=job.image.shape, changes=changes)
    targets = {"label": features["label"]}
    if predictions is not None:
        ids, width = features["id"], len(data.class_names)
        num_views = 1 if job.views is None else job.views.number
        targets["teacher_logits"] = _logits_of(
            predictions, ids=ids, width=width, view=epoch % num_views, num_views=num_views
        )
    if not job.labels:
        targets["label"] = tf.argmax(targets["teacher_logits"], axis=-1)
    if others is not None:
        # Without labels there is one class for the mixed image as a whole.
        targets |= {"mixed_label": others["label"] if job.labels else targets["label"], "mixing": share}
    weights = [features["weight"]] if data.weighted else []
    if data.class_weights:
        of_labels = tf.constant([1.0, *data.class_weights], tf.float32)  # The first where there is no label.
        weights.append(tf.gather(of_labels, features["label"] + 1))
    return (images, targets, math.prod(weights)) if weights else (images, targets)


def _unpack(
    features: Mapping[str, tf.Tensor],
    others: Mapping[str, tf.Tensor] | None,
    *,
    image_shape: ImageShape,
    changes: Changes | None,
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Returns the images of parsed examples, as they are seen, and their shares if others are mixed in."""
    images = unpack_images(features["image"], image_shape=image_shape)
    if changes is None:
        return images, None
    images = augment(images, features["id"], changes=changes)
    if others is None:
        return images, None
    partners = unpack_images(others["image"], image_shape=image_shape)
    partners = augment(partners, others["id"], changes=changes)
    return mix(images, partners, ids=features["id"], changes=changes)


def _bytes_of_example(job: TrainingJob, *, num_classes: int) -> int:
    """Returns what a training example takes in the shuffle buffer, whoever of the students is trained.

    Without views that is without the teacher's logits, so that scratch and students are shuffled alike.
    """
    num_images = 2 if job.mixes else 1
    num_logits = 0 if job.views is None else job.views.number * num_classes
    return num_images * (math.prod(job.image.shape) + _MORE_BYTES) + num_logits * HALF.size


@dataclasses.dataclass(frozen=True)
class _Part:
    """Examples with labels, or those without: what is read of them, and their number.

    Attributes:
      records: Tuples of an example and, if there are any, its prediction; with mixup, blocks of them.
      num_examples: How many there are.
    """

    records: tf.data.Dataset
    num_examples: int

    def cache(self) -> "_Part":
        """Returns the same, kept in memory once it was read."""
        return dataclasses.replace(self, records=self.records.cache())

    def pair(self, changes: Changes | None) -> tf.data.Dataset:
        """Returns the records one by one, each with that of its partner if they are to be mixed."""
        if changes is None or not changes.settings.mixup:
            return self.records
        paired = with_partners(self.records, changes=changes)
        return paired.apply(tf.data.experimental.assert_cardinality(self.num_examples))


def _parts(data: TrainingData, job: TrainingJob) -> list[_Part]:
    """Opens the examples with labels and, if there are any, those without."""
    found = [(data.training_files, data.prediction_files, data.num_training_examples)]
    if data.unlabelled_files:
        found.append((data.unlabelled_files, data.unlabelled_prediction_files, data.num_unlabelled_examples))
    return [
        _Part(_read_blocks(_columns(*files)) if job.mixes else _read_columns(_columns(*files), count), count)
        for *files, count in found
    ]


def _interleave(parts: Sequence[tf.data.Dataset], counts: Sequence[int]) -> tf.data.Dataset:
    """Lays examples without labels evenly between the others, so that a window of shuffling holds both."""
    if len(parts) == 1:
        return parts[0]
    _, count = counts
    total = sum(counts)
    turns = tf.data.Dataset.range(total).map(lambda turn: (turn + 1) * count // total - turn * count // total)
    # Both are asked once more at the end, so that one that holds more than said is found out.
    turns = turns.concatenate(tf.data.Dataset.range(2))
    return tf.data.Dataset.choose_from_datasets(list(parts), turns, stop_on_empty_dataset=False)


def _artifacts_of(files: Sequence[str]) -> str:
    """Names the directories of the artifacts; in each lies a directory for each split."""
    return " or ".join(dict.fromkeys(str(pathlib.Path(file).parents[1]) for file in files))


def _options() -> tf.data.Options:
    """Options for devices of one machine, where there are no workers to share the files out to."""
    options = untuned()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return options


def _read(files: Sequence[str | tf.Tensor], num_examples: int | None = None) -> tf.data.Dataset:
    records = tf.data.TFRecordDataset(list(files), buffer_size=2**20)
    if num_examples is None:
        return records
    return records.apply(tf.data.experimental.assert_cardinality(num_examples))


def _columns(files: Sequence[str], prediction_files: Sequence[str]) -> list[Sequence[str]]:
    """Returns the files of examples, and those of their predictions if there are any."""
    return [each for each in (files, prediction_files) if each]


def _read_columns(columns: Sequence[Sequence[str]], num_examples: int | None) -> tf.data.Dataset:
    """Reads several lists of files side by side: tuples of records."""
    return tf.data.Dataset.zip(tuple(_read(files, num_examples) for files in columns))


def _read_blocks(columns: Sequence[Sequence[str]]) -> tf.data.Dataset:
    """Does the same, but file by file and in blocks of records."""

    @_plain
    def blocks_of(*files: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.zip(tuple(_read([file]) for file in files)).batch(BLOCK)

    return tf.data.Dataset.from_tensor_slices(tuple(map(list, columns))).flat_map(blocks_of)


def _logits_of(
    predictions: tf.Tensor, *, ids: tf.Tensor, width: int, view: tf.Tensor | int = 0, num_views: int = 1
) -> tf.Tensor:
    """Returns the logits of a view, float32 `[batch, width]`, if these are the ids of their examples."""
    specification = {
        "id": tf.io.FixedLenFeature([], tf.string),
        "halves": tf.io.FixedLenFeature([num_views], tf.string, default_value=[""] * num_views),
        "logits": tf.io.FixedLenFeature([width], tf.float32, default_value=[0.0] * width),
    }
    parsed = tf.io.parse_example(predictions, specification)
    with tf.control_dependencies([tf.debugging.assert_equal(parsed["id"], ids, message=_OTHER_EXAMPLES)]):
        halves = tf.identity(parsed["halves"][:, view])
    # All of a file are stored alike.
    return tf.cond(
        tf.strings.length(halves[0]) > 0,
        lambda: unpack(halves, num_classes=width),
        lambda: parsed["logits"],
    )
