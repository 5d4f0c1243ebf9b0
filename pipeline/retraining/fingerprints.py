"""What decides whether there is anything new to train on, or with."""

import hashlib
import importlib.metadata
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from components.files import sha256
from pipeline.config.experiment import Config
from pipeline.local.external_files import fingerprint_inputs
from pipeline.retraining.ledger import Fingerprints

_PACKAGE = "distillation-pipeline"
_ROOT = pathlib.Path(__file__).parents[2]


def take_fingerprints(config: Config) -> Fingerprints:
    """Takes the fingerprints of an experiment as it is now.

    Raises:
      InputError: The data cannot be listed, or a model's file cannot be read.
    """
    models = fingerprint_inputs(config)
    data = models.pop("data")
    code = {"version": importlib.metadata.version(_PACKAGE), "source": _sources(), "models": models}
    return Fingerprints(data=data, code=_digest(code), configuration=_digest(config.to_record()))


def _sources() -> dict[str, str]:
    """Returns the hash of each source file of this project, by its path."""
    files: Iterable[pathlib.Path] = (
        path for package in ("components", "pipeline") for path in (_ROOT / package).rglob("*.py")
    )
    return {path.relative_to(_ROOT).as_posix(): sha256(path) for path in files}


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
