"""Where ML Metadata keeps what it knows: in a file of SQLite, or in a database of MySQL or MariaDB.

Importing this imports neither ML Metadata nor a client of MySQL.
"""

import contextlib
import dataclasses
import pathlib
import sqlite3
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from components.errors import InputError
from pipeline.config.metadata import parse_url
from pipeline.metadata.records import Records

if TYPE_CHECKING:
    from ml_metadata.metadata_store import MetadataStore
    from ml_metadata.proto import ConnectionConfig

PASSWORD_VARIABLE = "DISTILL_METADATA_PASSWORD"

_SECONDS_TO_CONNECT = 10
_NO_PASSWORD_FITS = 1045
_NO_SUCH_DATABASE = (1044, 1049)  # It does not exist, or the user may not know whether it does.


class Database(Protocol):
    """A database of ML Metadata."""

    @property
    def place(self) -> str:
        """Where it is, for a reader and without a secret."""

    def check(self) -> None:
        """Raises InputError if it cannot be used."""

    def connection_config(self) -> "ConnectionConfig":
        """Returns how ML Metadata finds it, without the password. Imports ML Metadata."""

    def open_store(self) -> "MetadataStore":
        """Opens it for ML Metadata, which is imported."""

    def records(self) -> contextlib.AbstractContextManager[Records]:
        """Opens it for reading and removing; raises InputError if that is not possible."""


@dataclasses.dataclass(frozen=True)
class SqliteFile:
    """A file, which ML Metadata makes if need be."""

    path: pathlib.Path

    @property
    def place(self) -> str:
        """See `Database`."""
        return self.path.name

    def check(self) -> None:
        """Does nothing: it is in the workspace."""

    def connection_config(self) -> "ConnectionConfig":
        """See `Database`."""
        from ml_metadata import proto

        mode = proto.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        return proto.ConnectionConfig(sqlite={"filename_uri": str(self.path), "connection_mode": mode})

    def open_store(self) -> "MetadataStore":
        """See `Database`."""
        from ml_metadata.metadata_store import MetadataStore

        return MetadataStore(self.connection_config())

    @contextlib.contextmanager
    def records(self) -> Iterator[Records]:
        """See `Database`."""
        try:
            with contextlib.closing(sqlite3.connect(self.path)) as connection:
                yield Records(connection, value="?", shrink="VACUUM")
        except sqlite3.Error as error:
            raise InputError(f"{self.path} cannot be pruned ({error}).") from None


@dataclasses.dataclass(frozen=True, kw_only=True)
class MysqlDatabase:
    """A database of MySQL or MariaDB, which exists; several workspaces may share it."""

    user: str
    host: str
    port: int
    database: str
    password: str = dataclasses.field(repr=False)

    @property
    def place(self) -> str:
        """See `Database`."""
        return f"mysql://{self.host}:{self.port}/{self.database}"

    def check(self) -> None:
        """See `Database`."""
        with self._connected():
            pass

    def connection_config(self) -> "ConnectionConfig":
        """See `Database`."""
        from ml_metadata import proto

        return proto.ConnectionConfig(
            mysql={"user": self.user, "host": self.host, "port": self.port, "database": self.database}
        )

    def open_store(self) -> "MetadataStore":
        """See `Database`."""
        from ml_metadata.metadata_store import MetadataStore

        config = self.connection_config()
        config.mysql.password = self.password
        return MetadataStore(config)

    @contextlib.contextmanager
    def records(self) -> Iterator[Records]:
        """See `Database`."""
        with self._connected() as connection:
            yield Records(connection, value="%s")

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Any]:
        import pymysql

        try:
            with pymysql.connect(
                **dataclasses.asdict(self), connect_timeout=_SECONDS_TO_CONNECT
            ) as connection:
                yield connection
        except (pymysql.MySQLError, RuntimeError) as error:
            raise InputError(f"metadata: {self._explain(error)}.") from None

    def _explain(self, error: Exception) -> str:
        code = error.args[0] if error.args else None
        if code == _NO_PASSWORD_FITS:
            return (
                f"{self.host}:{self.port} does not let {self.user!r} in; put the right password into the "
                f"environment variable {PASSWORD_VARIABLE}"
            )
        if code in _NO_SUCH_DATABASE:
            return (
                f"{self.host}:{self.port} has no database {self.database!r} that {self.user!r} may use; "
                "create it there, and grant all privileges on it"
            )
        return (
            f"{self.place} cannot be used ({error.args[-1] if error.args else error}); see to it that it can"
        )


def open_mysql(url: str, *, environment: Mapping[str, str]) -> MysqlDatabase:
    """Returns the database that a configuration names; no connection is made.

    Args:
      url: The key `metadata` of the configuration.
      environment: May hold the password.
    """
    return MysqlDatabase(**parse_url(url)._asdict(), password=environment.get(PASSWORD_VARIABLE, ""))
