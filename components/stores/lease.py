"""A lock in an object store: an object that says who may write, for a while."""

import contextlib
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

from components.errors import InputError

_FREE = b"free"

ObjectStore = obstore.store.ObjectStore


def replace(store: ObjectStore, name: str, content: bytes, *, read: Any | None) -> Any:
    """Writes an object if it is still the one that was read.

    Args:
      store: Where.
      name: Its name.
      content: What it is to hold.
      read: What the store said of the object that was read; None if there was none.

    Returns:
      What the store says of the new one.

    Raises:
      AlreadyExistsError: There is one by now.
      PreconditionError: It is another one by now.
    """
    if read is None:
        return store.put(name, content, mode="create", use_multipart=False)
    version: Any = {key: read[key] for key in ("e_tag", "version") if read.get(key)}
    return store.put(name, content, mode=version, use_multipart=False)


class Lease:
    """The right to write, which its holder renews, and which passes on when that stops.

    Whoever wants it watches the object: if it stays the same for the whole time of a lease, its holder is
    gone. So no two clocks are compared. Each change is made on condition that nobody else has made one.
    """

    def __init__(self, store: ObjectStore, name: str, *, seconds: float) -> None:
        """Describes a lease that nobody holds yet.

        Args:
          store: Where the object lies.
          name: Of the object.
          seconds: How long it lasts unless it is renewed.
        """
        self._store = store
        self._name = name
        self._seconds = seconds
        self._holder = uuid.uuid4().hex
        self._ended = threading.Event()
        self._object: Any = None
        self._renewed = 0.0
        self._is_lost = False

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Waits for the lease, and holds it.

        Raises:
          InputError: The store makes no change on a condition.
        """
        self._object = self._acquire()
        self._renewed = time.monotonic()
        renewing = threading.Thread(target=self._renew, daemon=True)
        renewing.start()
        try:
            yield
        finally:
            self._ended.set()
            renewing.join()
            with contextlib.suppress(BaseError, OSError):
                if not self._is_lost:
                    replace(self._store, self._name, _FREE, read=self._object)

    def check(self) -> None:
        """Raises InputError if the lease may have passed on, because it could not be renewed in time."""
        if self._is_lost or time.monotonic() - self._renewed >= self._seconds:
            raise InputError(
                "The lock on what ships was lost, because it could not be renewed in time; another process "
                "may have changed it: run again."
            )

    def _acquire(self) -> Any:
        made = self._put(None)
        if made is not None:
            self._check_conditions()
            return made
        seen, since = None, 0.0
        while True:
            found = self._store.get(self._name)
            is_free = bytes(found.bytes()) == _FREE
            if found.meta["e_tag"] != seen:
                seen, since = found.meta["e_tag"], time.monotonic()
            if is_free or time.monotonic() - since >= self._seconds:
                taken = self._put(found.meta)
                if taken is not None:
                    return taken
            time.sleep(min(1.0, self._seconds / 20))

    def _check_conditions(self) -> None:
        """Refuses a store that writes what it should not."""
        if self._put(None) is not None:
            raise InputError(
                "push.directory is in an object store that ignores the condition If-None-Match, so that two "
                "runs could not be kept apart; use Google's, Amazon's, or a MinIO of 2024 or later."
            )

    def _renew(self) -> None:
        while not self._ended.wait(self._seconds / 3):
            now = time.monotonic()
            try:
                renewed = self._put(self._object)
            except (BaseError, OSError):  # The store is away: tried again, until the lease is too old.
                continue
            if renewed is None:
                self._is_lost = True
                return
            self._object, self._renewed = renewed, now

    def _put(self, read: Any | None) -> Any | None:
        """Writes a content that the object never had, if it is as it was read; None if somebody was first."""
        content = f"{self._holder} {uuid.uuid4().hex}".encode()
        try:
            return replace(self._store, self._name, content, read=read)
        except (AlreadyExistsError, PreconditionError):
            return None
