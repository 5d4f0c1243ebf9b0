"""The directory of a run, and who may use it."""

import contextlib
import dataclasses
import fcntl
import pathlib
from collections.abc import Iterator

from components.errors import InputError
from components.layout import LOG_FILE, PUSHED_DIRECTORY
from components.stores.store import is_object_store
from pipeline.config.experiment import Config


class WorkspaceBusyError(InputError):
    """Another run is using the workspace."""


@dataclasses.dataclass(frozen=True)
class Workspace:
    """The directory of a run: its metadata, artifacts, log, summary, report and pushed models."""

    directory: pathlib.Path

    @property
    def log(self) -> pathlib.Path:
        """The file that receives what TFX, Beam and TensorFlow print."""
        return self.directory / LOG_FILE

    def push_directory(self, config: Config) -> str:
        """Returns where a blessed student goes: into the workspace unless it is configured otherwise."""
        directory = config.push.directory
        if directory and is_object_store(directory):
            return directory
        return str(pathlib.Path(directory or self.directory / PUSHED_DIRECTORY).absolute())


@contextlib.contextmanager
def locked(workspace: Workspace) -> Iterator[None]:
    """Makes a workspace if need be, and keeps other runs out of it for a while.

    The lock ends with the process that holds it, also if that is killed.

    Raises:
      InputError: It cannot be written.
      WorkspaceBusyError: Another run is using it.
    """
    directory = workspace.directory
    try:
        directory.mkdir(parents=True, exist_ok=True)
        workspace.log.touch()
        lock = (directory / ".lock").open("w")
    except OSError as error:
        reason = "it is a file" if directory.is_file() else error.strerror
        raise InputError(
            f"The workspace {directory} cannot be written ({reason}); choose another with --workspace."
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WorkspaceBusyError(
                f"Another run is using the workspace {directory}; wait for it, or choose another "
                "with --workspace."
            ) from None
        yield
