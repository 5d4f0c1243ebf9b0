"""What decides whether there is anything new to train on, or with."""

import contextlib
import hashlib
import importlib.metadata
import json
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from components.errors import InputError
from components.files import sha256
from pipeline.config.experiment import Config
from pipeline.local.external_files import check_files, fingerprint_inputs
from pipeline.retraining.ledger import Fingerprints

_PACKAGE = "distillation-pipeline"
_ROOT = pathlib.Path(__file__).parents[2]


def take_fingerprints(config: Config) -> Fingerprints:
    """Takes the fingerprints of an experiment as it is now.

    Raises:
      InputError: The data or a model's file is missing, or cannot be used.
    """
    return summarise(config, files=look_at_files(config))


def look_at_files(config: Config) -> dict[str, str]:
    """Checks the data and the files of the models, and returns the fingerprints of each.

    Raises:
      InputError: Something is missing, or cannot be used.
    """
    with refusing_unreadable_files():
        check_files(config)
        return fingerprint_inputs(config)


@contextlib.contextmanager
def refusing_unreadable_files() -> Iterator[None]:
    """Makes a mistake to be mended of what goes wrong while data and the files of models are looked at.

    Raises:
      InputError: Something cannot be read, such as a network's file system that is gone for a while.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"data or the file of a model cannot be read ({error}); see to it that it can."
        ) from None


def summarise(config: Config, *, files: Mapping[str, str]) -> Fingerprints:
    """Returns the fingerprints of an experiment.

    Args:
      config: The experiment.
      files: What `look_at_files` has returned.
    """
    models = {key: fingerprint for key, fingerprint in files.items() if key != "data"}
    code = {"version": importlib.metadata.version(_PACKAGE), "source": _sources(), "models": models}
    return Fingerprints(data=files["data"], code=_digest(code), configuration=_digest(config.to_record()))


def _sources() -> dict[str, str]:
    """Returns the hash of each source file of this project, by its path."""
    files: Iterable[pathlib.Path] = (
        path for package in ("components", "pipeline") for path in (_ROOT / package).rglob("*.py")
    )
    return {path.relative_to(_ROOT).as_posix(): sha256(path) for path in files}


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
