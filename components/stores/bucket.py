"""A directory of an object store."""

import contextlib
import datetime
import hashlib
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from obstore.exceptions import AlreadyExistsError, PreconditionError

from components.storage.copies import directory_of_process
from components.storage.objects import connect, reaching
from components.stores.lease import Lease, replace
from components.stores.store import Store

LEASE_SECONDS = 60.0

_LOCK = ".lock"
_PARTIAL = ".partial"
_RETRIES: Any = {"max_retries": 5, "retry_timeout": datetime.timedelta(seconds=60)}


class Bucket(Store):
    """Objects below a URI.

    A directory has no name to be given at last: the last of its files says that it is complete, and what an
    interrupted copy has left is known by a note. A change is made under a lease.

    Credentials come from where each store's own programs take them: variables of the environment, such as
    `AWS_ACCESS_KEY_ID` and `GOOGLE_APPLICATION_CREDENTIALS`, or the identity of the machine.
    """

    def __init__(self, uri: str, *, lease_seconds: float = LEASE_SECONDS) -> None:
        """Opens a directory; nothing is asked of the store yet.

        Args:
          uri: Such as `s3://bucket/students`.
          lease_seconds: How long others wait for who no longer renews its lease.

        Raises:
          InputError: It is no such URI.
        """
        self._uri = uri.rstrip("/")
        with self._reached():
            self._store = connect(self._uri, retries=_RETRIES)
        self._lease_seconds = lease_seconds
        self._lease: Lease | None = None

    def location(self, name: str) -> str:
        """Returns the URI."""
        return f"{self._uri}/{name}" if name else self._uri

    def names(self, directory: str = "") -> list[str]:
        """Lists what lies below the prefix, up to the next slash."""
        with self._reached():
            found = self._store.list_with_delimiter(directory or None)
        paths = [*found["common_prefixes"], *(each["path"] for each in found["objects"])]
        return sorted(path.rpartition("/")[2] for path in paths)

    def directories_with(self, file: str) -> list[str]:
        """Lists all objects."""
        found = (path.rpartition("/") for path in self._paths())
        return sorted(directory for directory, _, name in found if name == file and "/" not in directory)

    def read(self, name: str) -> bytes | None:
        """Reads an object."""
        return self._read(name)[0]

    def write(self, name: str, content: bytes) -> None:
        """Replaces an object."""
        self._check()
        with self._reached():
            self._store.put(name, content)

    def append(self, name: str, line: str) -> None:
        """Replaces the object by one with the line added, if nobody else has changed it meanwhile."""
        content, read = self._read(name)
        while True:
            self._check()
            with contextlib.suppress(AlreadyExistsError, PreconditionError), self._reached():
                replace(self._store, name, (content or b"") + line.encode() + b"\n", read=read)
                return
            content, read = self._read(name)
            if line.encode() in (content or b"").splitlines():  # It was written; only the answer was lost.
                return

    def add(self, directory: str, files: Mapping[str, pathlib.Path]) -> None:
        """Copies the files in their order."""
        self._remove_left_over()
        *_, last = files
        note = f"{_PARTIAL}/{directory}"
        self.write(note, f"{directory}/{last}".encode())
        for name, source in files.items():
            self._check()
            with self._reached():
                self._store.put(f"{directory}/{name}", source)
        self.remove(note)

    def remove(self, name: str) -> None:
        """Removes the object, or those below it: first those of the directory itself, which complete it."""
        paths = self._paths(name) or [name]
        self._check()
        with self._reached():
            for path in sorted(paths, key=lambda path: path.count("/")):
                with contextlib.suppress(FileNotFoundError):
                    self._store.delete(path)

    def fetch(self, name: str) -> pathlib.Path:
        """Copies objects to this machine, once: of what has a version's name the content never changes."""
        place = directory_of_process() / hashlib.sha256(self._uri.encode()).hexdigest()[:16] / name
        if not place.exists():
            partial = place.with_name(f"{place.name}.partial")
            for path in self._paths(name) or [name]:
                content = self.read(path)
                if content is None:
                    return place
                copy = pathlib.Path(str(partial) + path.removeprefix(name))
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(content)
            partial.rename(place)
        return place

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Takes the lease, and waits for it as long as others hold it."""
        lease = Lease(self._store, _LOCK, seconds=self._lease_seconds)
        with contextlib.ExitStack() as stack:
            with self._reached():
                stack.enter_context(lease.held())
            self._lease = lease
            try:
                yield
            finally:
                self._lease = None

    def _check(self) -> None:
        if self._lease is not None:
            self._lease.check()

    def _paths(self, directory: str | None = None) -> list[str]:
        with self._reached():
            return [each["path"] for chunk in self._store.list(directory) for each in chunk]

    def _read(self, name: str) -> tuple[bytes | None, Any | None]:
        """Reads an object, with what the store says of it."""
        with self._reached():
            try:
                found = self._store.get(name)
            except FileNotFoundError:
                return None, None
            return bytes(found.bytes()), found.meta

    def _remove_left_over(self) -> None:
        for note in self._paths(_PARTIAL):
            last = (self.read(note) or b"").decode()
            if self.read(last) is None:
                self.remove(note.removeprefix(f"{_PARTIAL}/"))
            self.remove(note)

    def _reached(self) -> contextlib.AbstractContextManager[None]:
        return reaching(self._uri)
