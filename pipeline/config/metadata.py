"""The key `metadata` of the configuration: the database that ML Metadata keeps in place of a file."""

import re
from typing import NamedTuple

_URL = re.compile(
    r"mysql://(?P<user>[^:@/\s]+)@(?P<host>[^:@/\s]+)(:(?P<port>[0-9]{1,5}))?/(?P<database>[A-Za-z0-9_]+)"
)
_PORT = 3306
_HIGHEST_PORT = 65535


class MysqlUrl(NamedTuple):
    """What the URL of a database says; never a password."""

    user: str
    host: str
    port: int
    database: str


def parse_url(url: str) -> MysqlUrl:
    """Takes the URL of a database apart.

    Raises:
      ValueError: It is none; what is wrong does not repeat it, since it may hold a password.
    """
    found = _URL.fullmatch(url)
    if found is None or int(found["port"] or _PORT) > _HIGHEST_PORT:
        raise ValueError(
            "must be mysql://USER@HOST:PORT/DATABASE, and the password in the environment variable "
            "DISTILL_METADATA_PASSWORD"
        )
    return MysqlUrl(found["user"], found["host"], int(found["port"] or _PORT), found["database"])
