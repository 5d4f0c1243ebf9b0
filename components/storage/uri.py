"""Paths and URIs as text: which is which, and how they are put together."""

import pathlib
import posixpath
import re

# The schemes of object stores; `minio` is an S3 store inside a cluster of Kubeflow Pipelines.
OBJECT_STORES = ("gs", "s3", "minio")

# A drive of Windows is none: it has one letter.
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_HERE = "file"
_PATTERN_SIGNS = "*?["


def scheme_of(uri: str) -> str | None:
    """Returns the scheme of a URI, such as `s3`; None for what lies on this machine."""
    found = _SCHEME.match(uri)
    scheme = found[1].lower() if found else None
    return None if scheme == _HERE else scheme


def is_remote(uri: str | pathlib.Path) -> bool:
    """Tells whether something does not lie in a file system of this machine."""
    return scheme_of(str(uri)) is not None


def as_path(uri: str) -> pathlib.Path:
    """Returns the path of what lies on this machine."""
    return pathlib.Path(uri.removeprefix(f"{_HERE}://"))


def normalised(uri: str) -> str:
    """Returns a path or URI in one spelling: `s3://b/a` for `S3://b//a/./`; `..` may be beyond a link."""
    scheme, is_uri, rest = uri.partition("://")
    if not is_uri:
        return str(pathlib.PurePath(uri)) if uri else uri
    first, *names = rest.split("/")
    return "/".join((f"{scheme.lower()}://{first}", *(name for name in names if name not in ("", "."))))


def join(uri: str, *names: str) -> str:
    """Returns the path or URI of something below another."""
    return "/".join((uri.rstrip("/"), *names)) if any(names) else uri


def name_of(uri: str) -> str:
    """Returns the last part of a path or URI."""
    return posixpath.basename(uri.rstrip("/"))


def pattern_sign(uri: str) -> str | None:
    """Returns a sign that Beam would take for a part of a pattern; None where there is none."""
    return next((sign for sign in _PATTERN_SIGNS if sign in uri), None)


def parent_of(uri: str) -> str:
    """Returns a path or URI without its last part."""
    return posixpath.dirname(uri.rstrip("/"))
