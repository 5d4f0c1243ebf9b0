"""The names of splits and files, and where they lie in artifacts and workspaces: each stands only here."""

import pathlib
import zipfile
from fnmatch import fnmatch

from components.storage.files import file_names
from components.storage.uri import join

# The splits of every data set; models are measured on the last.
SPLITS = ("train", "validation", "test")
# Those by which models are chosen and measured.
HELD_OUT = ("validation", "test")
# One more where images without labels lie beside the labelled ones; students learn on it from their teacher.
UNLABELLED = "unlabelled"
# And one where there are images, the same for every run, by which all models are compared from run to run.
REFERENCE = "reference"

# ExampleGen's `examples`: the class names, the number of examples, and what was left out.
DATASET_FILE = "dataset.json"
# Beside it, what each image looks like, shard for shard: `descriptors/SPLIT-00000-of-00001.parquet`.
DESCRIPTORS_DIRECTORY = "descriptors"
# ExampleValidator's `anomalies`: what the training images look like as a whole, and whether they have drifted
# and which images are duplicates.
PROFILE_FILE = "profile.json"
DATA_CHECK_FILE = "data_check.json"
# Beside them, which data they are.
IDENTITY_FILE = "data_identity.json"
# SchemaGen's `schema`.
SCHEMA_FILE = "schema.pbtxt"
# A `model`: what a later node loads.
KERAS_FILE = "model.keras"
# In its place, if the model is a variant of a search whose training diverged: in which epoch, and how.
DIVERGENCE_FILE = "divergence.json"
# What every `.keras` file holds.
_KERAS_CONFIG = "config.json"
# A SavedModel: TensorFlow Serving loads it once this file is there.
SAVED_MODEL_FILE = "saved_model.pb"
# A served model: the names of the classes, in the order of the outputs.
CLASSES_ASSET = pathlib.Path("assets.extra", "classes.json")
# Of one that ships, the `.keras` file that a later training may start from.
KERAS_ASSET = pathlib.Path("assets.extra", KERAS_FILE)
# A candidate, and so each version that was pushed: the profile of the images that it was trained on.
PROFILE_ASSET = pathlib.Path("assets.extra", PROFILE_FILE)
# Likewise which data it was made from.
IDENTITY_ASSET = pathlib.Path("assets.extra", IDENTITY_FILE)
# A `model_run`.
HISTORY_FILE = "history.json"
# Beside it, if the model is a teacher that may be kept and was trained in this run: what must be alike then.
MAKING_FILE = "making.json"
# Beside it, if the model is the best of several variants: the settings and the history of each.
SEARCH_FILE = "search.json"
# The teacher's predictions for a split: whose they are, and how many. Written last.
MANIFEST_FILE = "manifest.json"
# Beside the executions of that output: what is whole of an attempt that was interrupted, for the next.
KEPT_SHARDS_DIRECTORY = ".shards"

# An `evaluation`: what was measured and decided. Written last.
EVALUATION_FILE = "evaluation.json"
# `{"images": [...]}`: test images on which the models differ, with the pictures themselves:
# `{"id", "label", "predictions": {model: {"class", "probability"}}, "image": "data:image/png;base64,..."}`.
DISAGREEMENTS_FILE = "disagreements.json"
# Parquet files with the id, the label and what each model says of every test image.
OUTCOMES_DIRECTORY = "outcomes"
# The same of the reference images, where there are any.
REFERENCE_OUTCOMES_DIRECTORY = "reference_outcomes"
# The verdict, for `tfma.load_validation_result`.
VALIDATION_FILE = "validations-00000-of-00001.tfrecord"
# The overview for the page of Kubeflow Pipelines.
MARKDOWN_FILE = "summary.md"

# A workspace; the report is in an `evaluation`, too.
SUMMARY_FILE = "summary.json"
REPORT_FILE = "report.html"
LOG_FILE = "run.log"
METADATA_FILE = "metadata.sqlite"
# In its place, if the metadata is in a database of MySQL: which, and by which id it knows this workspace.
METADATA_PLACE_FILE = "metadata.json"
# What a workspace notes of its root, if its artifacts do not lie in it.
ROOT_FILE = "root.json"
# A directory for each output of each node, and in it one for each execution, by its id.
ARTIFACTS_DIRECTORY = "artifacts"
PUSHED_DIRECTORY = "pushed"
# Where trainings that are not finished leave their checkpoints, if the artifacts do not lie there.
CHECKPOINTS_DIRECTORY = "checkpoints"
# What is copied there for a while of artifacts that lie elsewhere.
COPIES_DIRECTORY = ".copies"

# Where students are pushed to, beside the versions: which of them ships, a line for each change, and the last
# few students that were refused, which TensorFlow Serving does not see there.
CHAMPION_FILE = "champion.json"
PUSH_HISTORY_FILE = "history.jsonl"
REFUSED_DIRECTORY = "refused"
# There too: which teacher is kept from run to run.
KEPT_TEACHER_FILE = "teacher.json"
# Beside them where retraining is unattended: what became of each tick.
LEDGER_FILE = "ledger.jsonl"


def is_saved_model(directory: pathlib.Path) -> bool:
    """Tells whether a directory is that of a SavedModel."""
    return (directory / SAVED_MODEL_FILE).is_file()


def is_keras_file(path: pathlib.Path) -> bool:
    """Tells whether a path is that of a `.keras` file."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return _KERAS_CONFIG in archive.namelist()


def keras_file(model_uri: str) -> str:
    """Returns the path of the `.keras` file in a model artifact."""
    return f"{model_uri}/{KERAS_FILE}"


def descriptor_files(examples_uri: str, split: str) -> list[str]:
    """Returns the files of descriptors of a split in an `Examples` artifact, in the order of its shards."""
    directory = join(examples_uri, DESCRIPTORS_DIRECTORY)
    return [join(directory, name) for name in file_names(directory) if fnmatch(name, f"{split}-*.parquet")]


def predictions_directory(uri: str, split: str) -> str:
    """Returns where in a `TeacherPredictions` artifact the predictions for a split lie."""
    return f"{uri}/Split-{split}"
