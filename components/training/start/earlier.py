"""What a training takes over from earlier runs: the weights it starts from, or a teacher as it is."""

import pathlib

import keras
import tensorflow as tf

from components.layout import KERAS_ASSET
from components.models.building import load_model
from components.serving.kept_teacher import KeptTeacher
from components.serving.versions import Versions
from components.settings.retraining import Keeping, WarmStart
from components.settings.training import TrainingJob
from components.stores.store import open_store
from components.telling import tell
from components.training.inputs.batches import ordered_batches
from components.training.inputs.training_data import TrainingData


def find_start(start: WarmStart | None) -> pathlib.Path | None:
    """Returns the `.keras` file of the student to start from; None if there is none."""
    if start is None:
        return None
    versions = Versions(start.directory)
    version = versions.incumbent(start.version)
    path = versions.fetch(version) / KERAS_ASSET if version else None
    return path if path and path.is_file() else None


def warm_up(model: keras.Model, job: TrainingJob) -> bool:
    """Gives a model the weights of the student that it is to start from, if there is one that fits.

    Args:
      model: Its weights are changed.
      job: Says from whom it starts; the user is told how that went.

    Returns:
      Whether they were given to it.
    """
    if job.start is None:
        return False
    path = find_start(job.start)
    if path is None:
        tell("starts anew: no student ships yet whose weights could be taken", name=job.name)
        return False
    weights, version = load_model(path).get_weights(), path.parents[1].name
    if [each.shape for each in weights] != [each.shape for each in model.get_weights()]:
        tell(f"starts anew: the student that ships, {version}, is another network", name=job.name)
        return False
    model.set_weights(weights)
    tell(f"starts from the student that ships, {version}", name=job.name)
    return True


def describe_making(job: TrainingJob, data: TrainingData) -> dict[str, object]:
    """Returns what a kept teacher must have in common with one that a job would train, by names."""
    return {
        "settings": job.model.model_dump(mode="json"),
        "image": job.image.model_dump(mode="json"),
        "classes": list(data.class_names),
        "code": job.code_fingerprint,
    }


def choose_teacher(keeping: Keeping, job: TrainingJob, data: TrainingData) -> tuple[KeptTeacher | None, str]:
    """Decides whether the teacher of earlier runs is kept.

    Args:
      keeping: Where it may be, and until when it is kept.
      job: Would train another.
      data: The newest.

    Returns:
      The teacher to keep, None if another is to be trained; and the decision with its reason.
    """
    kept = KeptTeacher.find(open_store(keeping.directory))
    if kept is None:
        return None, "trained, since none was kept from earlier runs"
    making = describe_making(job, data)
    changed = [name for name, value in making.items() if kept.made_by.get(name) != value]
    if changed:
        return None, f"trained anew, since the kept one had other {' and '.join(changed)}"
    taught = len(kept.runs)
    if taught >= keeping.runs:
        return None, f"trained anew, since the kept one has taught in {taught} runs"
    accuracy = _validation_accuracy(kept, job, data)
    found = f"{accuracy:.2%} of the newest validation images are right"
    if accuracy < keeping.min_accuracy:
        return None, f"trained anew: of the kept one {found}, fewer than {keeping.min_accuracy:.2%}"
    return kept, f"kept, for run {taught + 1} of {keeping.runs}: {found}, at least {keeping.min_accuracy:.2%}"


def _validation_accuracy(kept: KeptTeacher, job: TrainingJob, data: TrainingData) -> float:
    model = load_model(kept.keras_file)
    count_right = tf.function(
        lambda images, labels: tf.reduce_sum(
            tf.cast(tf.argmax(model(images, training=False), axis=-1) == labels, tf.int64)
        )
    )
    batches = ordered_batches(
        data.validation_files,
        num_examples=data.num_validation_examples,
        image_shape=job.image.shape,
        batch_size=job.model.batch_size,
    )
    right = sum(int(count_right(images, targets["label"])) for images, targets in batches)
    return right / data.num_validation_examples
