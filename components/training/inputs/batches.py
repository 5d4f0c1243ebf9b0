"""Reading transformed examples for training.

The order of the training examples depends on the files, the seed and the epoch alone, never on what
is read beside them: every student of one comparison sees the same batches in the same order.
"""

import collections
import contextlib
import math
import pathlib
from collections.abc import Iterator, Sequence

import tensorflow as tf

from components.errors import InputError
from components.training.inputs.augmentation import Augmentation, augment
from components.transform.pixels import ImageShape, unpack_images

# Memory that the shuffle buffer may take. Larger data sets are shuffled within a window of that size;
# ExampleGen has already laid them out in an order that does not follow the classes.
SHUFFLE_BYTES = 256 * 2**20

_COUNTING_BATCH = 64
_OTHER_EXAMPLES = "belong to other examples, or stand in another order"

Batch = tuple[tf.Tensor, dict[str, tf.Tensor]] | tuple[tf.Tensor, dict[str, tf.Tensor], tf.Tensor]


def training_batches(
    files: Sequence[str],
    *,
    num_examples: int,
    image_shape: ImageShape,
    batch_size: int,
    seed: int,
    epoch: tf.Variable,
    prediction_files: Sequence[str] = (),
    num_classes: int | None = None,
    augmentation: Augmentation | None = None,
    labels: bool = True,
    class_weights: Sequence[float] = (),
    weighted: bool = False,
) -> tf.data.Dataset:
    """Reads the shuffled batches of an epoch.

    Args:
      files: TFRecord files of transformed examples.
      num_examples: How many examples the files hold together.
      image_shape: `(height, width, channels)`.
      batch_size: Examples in a batch; the last one of an epoch may be smaller.
      seed: Decides the order, together with the epoch.
      epoch: The number of the epoch, an int64 scalar; looked at whenever reading starts over.
      prediction_files: TFRecord files of the teacher's predictions for those examples, in the same
        order; none for training without a teacher.
      num_classes: Width of the predictions; needed if there are any.
      augmentation: Random changes to the images, which depend on the seed, the epoch and the position of
        the batch in the epoch alone. Predictions are those of the images as they were, and
        nothing for an objective to learn from then.
      labels: Whether the examples have labels. If not, they need predictions, and the teacher's most
        likely class stands for the label.
      class_weights: The weight of the examples of each class, in the order of the labels; none for 1.
      weighted: Whether the examples have a feature `weight` of their own.

    Returns:
      A dataset of `(images, targets)` of known length: images float32
      `[batch, height, width, channels]` in [0, 1]; targets `label` int64 `[batch]`, with
      predictions `teacher_logits` float32 `[batch, num_classes]`, and those that `augment` adds. With
      weights of either kind, of `(images, targets, sample_weight)`, the product of the two, float32
      `[batch]`. Reading fails if the files hold more or fewer examples than said, or if the predictions
      belong to other examples.
    """
    records = _read(files, num_examples)
    if prediction_files:
        predictions = _read(prediction_files, num_examples)
        records = tf.data.Dataset.zip(records, predictions)
    height, width, channels = image_shape
    window = max(SHUFFLE_BYTES // (height * width * channels), 10 * batch_size)
    if num_examples <= window:
        records = records.cache()  # The shuffle buffer holds all of them in any case, the very same bytes.
    buffer_size = min(num_examples, window)

    def shuffled_batches(_: tf.Tensor) -> tf.data.Dataset:
        # Else the process's global seed would take part in the order; with 0 there, TensorFlow fails.
        tf.compat.v1.get_default_graph().seed = 1
        shuffled = records.shuffle(buffer_size, seed=seed + epoch, reshuffle_each_iteration=False)
        return shuffled.batch(batch_size).enumerate()

    def parse(position: tf.Tensor, records: tf.Tensor | tuple[tf.Tensor, tf.Tensor]) -> Batch:
        examples, predictions = records if prediction_files else (records, None)
        features = parse_examples(examples, weighted=weighted)
        images = unpack_images(features["image"], image_shape=image_shape)
        targets = {"label": features["label"]}
        if predictions is not None:
            targets["teacher_logits"] = _logits_of(predictions, ids=features["id"], width=num_classes)
        if not labels:
            targets["label"] = tf.argmax(targets["teacher_logits"], axis=-1)
        if augmentation is not None:
            of_batch = tf.random.fold_in(tf.stack([tf.cast(seed, tf.int64), epoch]), position)
            images, targets = augment(images, targets, augmentation=augmentation, seed=of_batch)
        weights = [features["weight"]] if weighted else []
        if class_weights:
            weights.append(tf.gather(tf.constant(class_weights, tf.float32), features["label"]))
        return (images, targets, math.prod(weights)) if weights else (images, targets)

    return (
        tf.data.Dataset.from_tensors(0)
        .flat_map(shuffled_batches)
        .apply(tf.data.experimental.assert_cardinality(math.ceil(num_examples / batch_size)))
        .map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(tf.data.AUTOTUNE)
        .with_options(_unsharded())
    )


def ordered_batches(
    files: Sequence[str],
    *,
    image_shape: ImageShape,
    batch_size: int,
    num_examples: int | None = None,
    prediction_files: Sequence[str] = (),
    num_classes: int | None = None,
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
    records = _read(files, num_examples)
    if prediction_files:
        records = tf.data.Dataset.zip(records, _read(prediction_files, num_examples))

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
        .with_options(_unsharded())
    )


def batches_by_file(files: Sequence[str], *, image_shape: ImageShape, batch_size: int) -> tf.data.Dataset:
    """Reads batches in the order of the files, each from one file only.

    Args:
      files: TFRecord files of transformed examples; their labels are not looked at.
      image_shape: `(height, width, channels)`.
      batch_size: Examples in a batch; the last one of a file may be smaller.

    Returns:
      A dataset of `(number, images, ids)`: the file's number, an int64 scalar; images as in
      `training_batches`; ids string `[batch]`.
    """

    def batches_of(number: tf.Tensor, file: tf.Tensor) -> tf.data.Dataset:
        records = tf.data.TFRecordDataset(file, buffer_size=2**20)
        return records.batch(batch_size).map(lambda examples: (number, examples))

    def parse(number: tf.Tensor, examples: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        texts = {key: tf.io.FixedLenFeature([], tf.string) for key in ("image", "id")}
        features = tf.io.parse_example(examples, texts)
        return number, unpack_images(features["image"], image_shape=image_shape), features["id"]

    return (
        tf.data.Dataset.from_tensor_slices(list(files))
        .enumerate()
        .flat_map(batches_of)
        .map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(2)
    )


def epoch_counter() -> tf.Variable:
    """Returns the number of an epoch, 0, as `training_batches` wants it."""
    return tf.Variable(0, dtype=tf.int64, trainable=False)


def count_labels(files: Sequence[str]) -> dict[int, int]:
    """Counts the examples of each label in TFRecord files of transformed examples."""
    specification = {"label": tf.io.FixedLenFeature([], tf.int64)}
    batches = _read(files, None).batch(_COUNTING_BATCH)
    counts: collections.Counter[int] = collections.Counter()
    for parsed in batches.map(lambda examples: tf.io.parse_example(examples, specification)):
        counts.update(parsed["label"].numpy().tolist())
    return dict(counts)


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


def _artifacts_of(files: Sequence[str]) -> str:
    """Names the directories of the artifacts; in each lies a directory for each split."""
    return " or ".join(dict.fromkeys(str(pathlib.Path(file).parents[1]) for file in files))


def _unsharded() -> tf.data.Options:
    """Options for devices of one machine, where there are no workers to share the files out to."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return options


def _read(files: Sequence[str], num_examples: int | None) -> tf.data.Dataset:
    records = tf.data.TFRecordDataset(list(files), buffer_size=2**20)
    if num_examples is None:
        return records
    return records.apply(tf.data.experimental.assert_cardinality(num_examples))


def _logits_of(predictions: tf.Tensor, *, ids: tf.Tensor, width: int | None) -> tf.Tensor:
    parsed = tf.io.parse_example(
        predictions,
        {"id": tf.io.FixedLenFeature([], tf.string), "logits": tf.io.FixedLenFeature([width], tf.float32)},
    )
    with tf.control_dependencies([tf.debugging.assert_equal(parsed["id"], ids, message=_OTHER_EXAMPLES)]):
        return tf.identity(parsed["logits"])
