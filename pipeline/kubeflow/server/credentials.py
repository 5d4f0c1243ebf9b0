"""What a Kubeflow Pipelines server wants to see of its user: read from files or from the environment.

Secrets never stand on a command line, which other users of the machine can read, and nothing here prints one.
"""

import dataclasses
import pathlib
import ssl
from collections.abc import Mapping

from components.errors import InputError

TOKEN_VARIABLE = "DISTILL_KFP_TOKEN"
COOKIES_VARIABLE = "DISTILL_KFP_COOKIES"


@dataclasses.dataclass(frozen=True)
class Credentials:
    """A bearer token, or the file that holds it and is read again for each request; cookies; a CA file."""

    token: str | None = dataclasses.field(default=None, repr=False)
    token_file: pathlib.Path | None = None
    cookies: str | None = dataclasses.field(default=None, repr=False)
    ca_file: pathlib.Path | None = None


def read_credentials(
    *,
    token_file: pathlib.Path | None,
    cookies_file: pathlib.Path | None,
    ca_file: pathlib.Path | None,
    environment: Mapping[str, str],
) -> Credentials:
    """Collects the credentials and checks that they can be sent. A file goes before the environment.

    Args:
      token_file: Holds a bearer token, such as a service account's, which Kubernetes renews now and then.
      cookies_file: Holds cookies as a browser sends them, `NAME=VALUE; NAME=VALUE`.
      ca_file: Holds the certificates, in PEM, of who signed the server's.
      environment: May hold a token and cookies in `DISTILL_KFP_TOKEN` and `DISTILL_KFP_COOKIES`.

    Raises:
      InputError: A file cannot be read, or what it holds cannot be sent.
    """
    if token_file is not None:
        _read_secret(token_file, option="--token-file")
    if ca_file is not None:
        _check_certificates(ca_file)
    cookies = environment.get(COOKIES_VARIABLE) or None
    return Credentials(
        token=None if token_file else _checked(environment.get(TOKEN_VARIABLE), source=TOKEN_VARIABLE),
        token_file=token_file,
        cookies=_read_secret(cookies_file, option="--cookies-file")
        if cookies_file
        else _checked(cookies, source=COOKIES_VARIABLE),
        ca_file=ca_file,
    )


def _read_secret(path: pathlib.Path, *, option: str) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no text"
        raise InputError(f"{option} {path}: cannot be read ({reason}); give a text file") from None
    secret = _checked(text, source=f"{option} {path}")
    if secret is None:
        raise InputError(f"{option} {path}: is empty")
    return secret


def _checked(text: str | None, *, source: str) -> str | None:
    """Refuses what no HTTP header can hold, which the HTTP library would quote in its complaint."""
    secret = (text or "").strip()
    if not (secret.isascii() and secret.isprintable()):
        raise InputError(f"{source}: must be one line of printable ASCII characters")
    return secret or None


def _check_certificates(path: pathlib.Path) -> None:
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # Of which ssl.SSLError is one.
        raise InputError(f"--ca-file {path}: holds no certificates in PEM ({error.strerror})") from None
