"""The directory of a run, and who may use it."""

import contextlib
import dataclasses
import fcntl
import pathlib
import uuid
from collections.abc import Iterator, Mapping

from components.errors import InputError
from components.files import expand_user, read_json, write_json
from components.layout import (
    ARTIFACTS_DIRECTORY,
    CHECKPOINTS_DIRECTORY,
    COPIES_DIRECTORY,
    LOG_FILE,
    METADATA_FILE,
    METADATA_PLACE_FILE,
    PUSHED_DIRECTORY,
    ROOT_FILE,
)
from components.storage import beam_files
from components.storage.files import check_writable, is_folder
from components.storage.uri import is_remote, join, normalised, pattern_sign
from pipeline.config.experiment import Config
from pipeline.metadata.database import Database, MysqlDatabase, SqliteFile, open_mysql

LOG_HEADING = "\n==== "  # What stands in the log before each run.

_LONGEST_NAME = 54  # TFX cuts the name of a pipeline off after 63.


class WorkspaceBusyError(InputError):
    """Another run is using the workspace."""


@dataclasses.dataclass(frozen=True)
class Workspace:
    """The directory of a run: its metadata, artifacts, log, summary, report and pushed models.

    Attributes:
      directory: The directory.
      mysql: Where its metadata is, if not in a file there.
      pipeline_root: Below which its artifacts are, if not in it: a path or URI, which others may share.
    """

    directory: pathlib.Path
    mysql: MysqlDatabase | None = None
    pipeline_root: str | None = None

    @property
    def log(self) -> pathlib.Path:
        """The file that receives what TFX, Beam and TensorFlow print."""
        return self.directory / LOG_FILE

    @property
    def database(self) -> Database:
        """The database of ML Metadata."""
        return self.mysql or SqliteFile(self.directory.absolute() / METADATA_FILE)

    @property
    def artifacts(self) -> str:
        """Where the nodes leave what they make, once this is locked: nobody else has the same place.

        ML Metadata numbers executions from 1 in each workspace, so that two would write over each other.
        """
        if self.pipeline_root is None:
            return str(self.directory.absolute() / ARTIFACTS_DIRECTORY)
        return join(self.pipeline_root, read_json(self._root_file)["folder"])

    @property
    def has_artifacts(self) -> bool:
        """Whether a run may have left any."""
        if self.pipeline_root is None:
            return is_folder(self.artifacts)
        return self._root_file.is_file()

    @property
    def checkpoints(self) -> str | None:
        """Where trainings that are not finished leave their checkpoints; None is beside their outputs."""
        if self.pipeline_root is None:
            return None
        return str(self.directory.absolute() / CHECKPOINTS_DIRECTORY)

    @property
    def copies(self) -> pathlib.Path:
        """Where copies of artifacts lie while a run goes on, if they are elsewhere."""
        return self.directory.absolute() / COPIES_DIRECTORY

    @property
    def _root_file(self) -> pathlib.Path:
        return self.directory / ROOT_FILE

    def check(self) -> None:
        """Raises InputError if the database or the pipeline root cannot be used."""
        self.database.check()
        if self.pipeline_root is not None:
            try:
                check_writable(self.pipeline_root)
            except InputError as error:
                raise InputError(f"pipeline_root: {error}") from None

    def check_root(self) -> None:
        """Notes where the artifacts are, and sees to it that they are always there.

        Raises:
          InputError: They were elsewhere before.
        """
        here = str(self.directory / ARTIFACTS_DIRECTORY)
        before = here if pathlib.Path(here).is_dir() else None
        if self._root_file.is_file():
            before = normalised(read_json(self._root_file)["pipeline_root"])
        if before not in (None, self.pipeline_root or here):
            raise InputError(
                f"The workspace {self.directory} has its artifacts in {before}, not in "
                f"{self.pipeline_root or here}; choose another with --workspace."
            )
        if before is None and self.pipeline_root is not None:
            folder = f"{self.directory.absolute().name}-{uuid.uuid4().hex[:8]}"
            write_json(self._root_file, {"pipeline_root": self.pipeline_root, "folder": folder})

    def pipeline_name(self, config: Config) -> str:
        """Returns by which name ML Metadata knows the runs of an experiment here, once this is locked.

        A database may hold those of other workspaces, too, whose experiments may have the same name.
        """
        if self.mysql is None:
            return config.name
        return f"{config.name[:_LONGEST_NAME]}-{read_json(self._place_file)['id']}"

    @property
    def _place_file(self) -> pathlib.Path:
        return self.directory / METADATA_PLACE_FILE

    def check_metadata(self) -> None:
        """Notes in which database the metadata is, and sees to it that it is always the same.

        Ids that another database gives are those of other artifacts here.

        Raises:
          InputError: It was another before.
        """
        before = None
        if self._place_file.is_file():
            before = read_json(self._place_file)["database"]
        elif (self.directory / METADATA_FILE).is_file():
            before = METADATA_FILE
        if before not in (None, self.database.place):
            raise InputError(
                f"The workspace {self.directory} has its metadata in {before}, not in {self.database.place}; "
                "choose another with --workspace."
            )
        if before is None and self.mysql is not None:
            write_json(self._place_file, {"database": self.mysql.place, "id": uuid.uuid4().hex[:8]})

    def push_directory(self, config: Config) -> str:
        """Returns where a blessed student goes: into the workspace unless it is configured otherwise."""
        directory = config.push.directory
        if directory and is_remote(directory):
            return directory
        return str(pathlib.Path(directory or self.directory / PUSHED_DIRECTORY).absolute())


def open_workspace(
    config: Config, *, directory: pathlib.Path | None, environment: Mapping[str, str]
) -> Workspace:
    """Returns the workspace of an experiment; nothing is made.

    Args:
      config: The experiment.
      directory: Where it is; None is `runs/NAME`.
      environment: May hold the password of the database.

    Raises:
      InputError: Beam could not find what would be written there.
    """
    mysql = open_mysql(config.metadata, environment=environment) if config.metadata else None
    beam_files.use_options(config.beam.options)
    root = config.pipeline_root
    if root is not None and not is_remote(root):
        root = str(expand_user(root).absolute())
    directory = directory or pathlib.Path("runs", config.name)
    sign = pattern_sign(root or str(directory.absolute()))
    if sign:
        raise InputError(
            f"The artifacts would lie in {root or directory.absolute()}, and Beam takes {sign!r} for a "
            "pattern; choose another place with --workspace or pipeline_root."
        )
    return Workspace(directory, mysql, root)


@contextlib.contextmanager
def locked(workspace: Workspace) -> Iterator[None]:
    """Makes a workspace if need be, and keeps other runs out of it for a while.

    The lock ends with the process that holds it, also if that is killed.

    Raises:
      InputError: It cannot be written, or has its metadata or its artifacts elsewhere.
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
        workspace.check_metadata()
        workspace.check_root()
        yield
