"""What other nodes hand over to a Pusher, as KFP's launcher puts it there."""

import json
import pathlib
import zipfile
from typing import Any

from components.report.summary import Evaluation

EXAMPLE = pathlib.Path(__file__).parents[2] / "example_summary.json"
BUCKET = "minio://b"


def given(name: str, **metadata: int) -> Any:
    """An input artifact."""
    return {"artifacts": [{"name": name, "uri": f"{BUCKET}/{name}", "metadata": metadata}]}


def write_keras_file(path: pathlib.Path, *, weights: bytes) -> None:
    """Writes as much of a `.keras` file as tells one student from another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", weights)


def write_student(mounts: pathlib.Path, weights: bytes, *, compared_with: str) -> None:
    """Writes a student and what is known of it.

    Args:
      mounts: Where the stores are mounted.
      weights: By which it is told from others.
      compared_with: The version that shipped.
    """
    artifacts = mounts / BUCKET.replace("://", "/")
    (artifacts / "model/Format-Serving").mkdir(parents=True, exist_ok=True)
    (artifacts / "model/Format-Serving/saved_model.pb").write_bytes(weights)
    write_keras_file(artifacts / "model/model.keras", weights=weights)
    (artifacts / "evaluation").mkdir(exist_ok=True)
    content = json.loads(EXAMPLE.read_text())
    evaluation = {key: content[key] for key in Evaluation.model_fields if key in content}
    (artifacts / "evaluation/evaluation.json").write_text(
        json.dumps(evaluation | {"incumbent_version": compared_with})
    )


def write_teacher(mounts: pathlib.Path, weights: bytes) -> None:
    """Writes a teacher that was trained in the same run."""
    artifacts = mounts / BUCKET.replace("://", "/")
    write_keras_file(artifacts / "teacher/model.keras", weights=weights)
    (artifacts / "teacher_run").mkdir(exist_ok=True)
    (artifacts / "teacher_run/making.json").write_text("{}")
