"""Files in an object store: Amazon's S3 and what speaks its language, and Google's Cloud Storage."""

import contextlib
import datetime
import functools
import os
import pathlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

from components.errors import InputError, first_line
from components.storage.place import PIECE, Entry, Place, probe_name
from components.storage.uri import OBJECT_STORES, scheme_of

_ENDPOINT = "AWS_ENDPOINT_URL"
# Where Kubeflow Pipelines has its own store, as a container of the cluster sees it.
_MINIO = "http://minio-service.kubeflow:9000"
# A store that is restarted is waited for.
_PATIENCE: Any = {
    "max_retries": 1_000,
    "retry_timeout": datetime.timedelta(minutes=2),
    "backoff": {
        "init_backoff": datetime.timedelta(seconds=0.2),
        "max_backoff": datetime.timedelta(seconds=5),
        "base": 3,
    },
}
# A store that is asked whether it is there at all is not.
_BRIEF: Any = {"max_retries": 1, "retry_timeout": datetime.timedelta(seconds=5)}
_AT_ONCE = 16  # Requests: a store answers each after some time, and many in that time.
_LEVELS = 2  # Of folders that are listed apart, such as splits and classes.
_PAGE = 1_000  # Keys, as many as a store gives in one answer.


def connect(uri: str, *, retries: Any = _PATIENCE) -> obstore.store.ObjectStore:
    """Opens an object store; nothing is asked of it yet.

    Credentials come from where each store's own programs take them: variables of the environment, such as
    `AWS_ACCESS_KEY_ID` and `GOOGLE_APPLICATION_CREDENTIALS`, or the identity of the machine. The address of
    a server of one's own is in `AWS_ENDPOINT_URL`.

    Args:
      uri: Such as `s3://bucket/directory`: what the names in the store are relative to.
      retries: How often and how long what fails is tried again.

    Raises:
      InputError: It is no such URI.
    """
    scheme, _, rest = uri.partition("://")
    if scheme not in OBJECT_STORES or not rest:
        raise InputError(
            f"{uri!r} is in no store that is known; give a directory or a URI of "
            f"{', '.join(OBJECT_STORES)}, such as s3://bucket/students."
        )
    # Not by its URL, in which some characters of a directory would have a meaning.
    bucket, _, directory = rest.partition("/")
    prefix = directory.strip("/") or None
    if scheme == "gs":
        return obstore.store.GCSStore(bucket, prefix=prefix, retry_config=retries)
    endpoint = os.environ.get(_ENDPOINT) or (_MINIO if scheme == "minio" else None)
    given: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
    return obstore.store.S3Store(
        bucket,
        prefix=prefix,
        retry_config=retries,
        client_options={"allow_http": (endpoint or "").startswith("http://")},
        **given,
    )


@contextlib.contextmanager
def reaching(uri: str) -> Iterator[None]:
    """Puts what went wrong into words, but for what is only somebody else's change."""
    try:
        yield
    except (AlreadyExistsError, PreconditionError):
        raise
    except (BaseError, OSError, ValueError) as error:
        raise InputError(
            f"{uri} cannot be used ({first_line(error)}); see to it that the bucket is there, and that the "
            "credentials in the environment may read and write it."
        ) from None


class Objects(Place):
    """Object stores, which have no folders, but names with slashes in them."""

    def check_writable(self, uri: str) -> None:
        """Asks without the patience that a run has."""
        with reaching(uri):
            store = connect(uri.rstrip("/"), retries=_BRIEF)
            probe = probe_name()
            store.put(probe, b"")
            store.delete(probe)

    def check_readable(self, uri: str) -> None:
        """Lists the beginning of what lies below, likewise."""
        with reaching(uri):
            next(iter(connect(uri.rstrip("/"), retries=_BRIEF).list(chunk_size=1)), None)

    def is_file(self, uri: str) -> bool:
        """Asks for the object's head."""
        store, key = _open(uri)
        if not key:
            return False
        with reaching(uri):
            try:
                store.head(key)
            except FileNotFoundError:
                return False
            return True

    def is_folder(self, uri: str) -> bool:
        """Asks for the first object below."""
        store, key = _open(uri)
        with reaching(uri):
            return any(store.list(key or None, chunk_size=1))

    def names(self, uri: str) -> tuple[list[str], list[str]]:
        """Lists what lies below the prefix, up to the next slash."""
        store, key = _open(uri)
        with reaching(uri):
            found = store.list_with_delimiter(key or None)
        folders = sorted(path.rpartition("/")[2] for path in found["common_prefixes"])
        names = sorted(_relative(each["path"], key) for each in found["objects"])
        return folders, [name for name in names if name]

    def files(self, uri: str) -> Iterator[Entry]:
        """Lists the objects below the prefix, a thousand with each request, and some folders at once."""
        store, key = _open(uri)
        with reaching(uri), ThreadPoolExecutor(_AT_ONCE) as pool:
            prefixes = [key]
            for _ in range(_LEVELS):
                if len(prefixes) < _AT_ONCE:
                    found = list(pool.map(lambda prefix: store.list_with_delimiter(prefix or None), prefixes))
                    prefixes = [prefix for each in found for prefix in each["common_prefixes"]]
                    for each in found:
                        yield from _entries(each["objects"], key=key)
            for objects in pool.map(lambda prefix: list(_objects_below(store, prefix)), prefixes):
                yield from _entries(objects, key=key)

    def pieces(self, uri: str) -> Iterator[bytes]:
        """Reads what comes."""
        with reaching(uri):
            found = _find(uri)
            if found is not None:
                yield from map(bytes, found.stream(min_chunk_size=PIECE))
                return
        raise FileNotFoundError(uri)

    def write_pieces(self, uri: str, pieces: Iterator[bytes]) -> None:
        """Sends one part after the other, of which the store makes an object when it has them all.

        After an error the store is told to forget them.
        """
        first, second = next(pieces, b""), next(pieces, None)
        if second is None:
            self.write(uri, first)
            return
        store, key = _open(uri)
        errors: list[Exception] = []

        def given(pool: ThreadPoolExecutor) -> Iterator[bytes]:
            yield from (first, second)
            try:
                # In another thread: obstore, which asks for it here, may be what it comes from.
                while (piece := pool.submit(next, pieces, None).result()) is not None:
                    yield piece
            except Exception as error:
                errors.append(error)
                raise

        try:
            with reaching(uri), ThreadPoolExecutor(1) as pool:
                store.put(key, given(pool), use_multipart=True, chunk_size=PIECE, max_concurrency=1)
        except Exception:
            if errors:  # What went wrong where the pieces come from is said there.
                raise errors[0] from None
            raise

    def read(self, uri: str) -> bytes:
        """Reads the object."""
        with reaching(uri):
            found = _find(uri)
            if found is not None:
                return bytes(found.bytes())
        raise FileNotFoundError(uri)

    def write(self, uri: str, content: bytes) -> None:
        """Replaces the object."""
        store, key = _open(uri)
        with reaching(uri):
            store.put(key, content)

    def remove(self, uri: str) -> None:
        """Removes the object, and those below it."""
        store, key = _open(uri)
        with reaching(uri):
            paths = [each["path"] for chunk in store.list(key, chunk_size=_PAGE) for each in chunk]
            for first in range(0, len(paths), _PAGE):
                store.delete(paths[first : first + _PAGE])
            with contextlib.suppress(FileNotFoundError):
                store.delete(key)

    def upload(self, path: pathlib.Path, uri: str) -> None:
        """Sends a large file in parts, several at once."""
        store, key = _open(uri)
        with reaching(uri):
            store.put(key, path)


def _open(uri: str) -> tuple[obstore.store.ObjectStore, str]:
    """Returns the store of a bucket, and the key in it."""
    bucket, _, key = uri.partition("://")[2].partition("/")
    return _bucket(f"{scheme_of(uri)}://{bucket}", os.environ.get(_ENDPOINT)), key.strip("/")


def _objects_below(store: obstore.store.ObjectStore, prefix: str) -> Iterator[Any]:
    for chunk in store.list(prefix, chunk_size=_PAGE):
        yield from chunk


def _entries(objects: Iterable[Any], *, key: str) -> Iterator[Entry]:
    for each in objects:
        name = _relative(each["path"], key)
        if name:  # A mark that stands for the folder itself has none.
            yield Entry(
                name, each["size"], each["e_tag"] or each["version"] or each["last_modified"].isoformat()
            )


def _find(uri: str) -> Any | None:
    """Begins to read an object; None if it is not there."""
    store, key = _open(uri)
    try:
        return store.get(key)
    except FileNotFoundError:
        return None


@functools.lru_cache(maxsize=64)
def _bucket(uri: str, endpoint: str | None) -> obstore.store.ObjectStore:
    """Opens a bucket once for each server that `AWS_ENDPOINT_URL` has named."""
    with reaching(uri):
        return connect(uri)


def _relative(path: str, key: str) -> str:
    return path.removeprefix(key).lstrip("/")
