"""A Kubeflow Pipelines server: how it is asked, what its failures mean, and how nothing is made twice.

All requests go through the generated API of `kfp.Client`, which does the authentication. The client's own
methods would wait for ever on a server that does not answer, and print.
"""

import dataclasses
import json
import logging
import time
import urllib.parse
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from components.errors import InputError
from pipeline.kubeflow.server.credentials import COOKIES_VARIABLE, TOKEN_VARIABLE, Credentials

_PAGE_SIZE = 100
_LONGEST_MESSAGE = 300
_HIDDEN = "***"
_WAYS_IN = f"--token-file or {TOKEN_VARIABLE}, or with --cookies-file or {COOKIES_VARIABLE}"

_Thing = TypeVar("_Thing")


class ServerError(Exception):
    """A Kubeflow Pipelines server did not do as it was told. The message is one sentence for the user."""


class UnreachableError(ServerError):
    """The server was not there to be asked."""


class ConflictError(ServerError):
    """What was to be made exists already."""


class UnclearError(ServerError):
    """The server was asked and gave no clear answer; `is_busy` if it may still be at it."""

    def __init__(self, message: str, *, is_busy: bool = False) -> None:
        super().__init__(message)
        self.is_busy = is_busy


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long to wait for a connection, for an answer, and between attempts, in seconds."""

    connection: float = 10
    answer: float = 60
    pauses: tuple[float, ...] = (1, 2, 4, 8)
    sleep: Callable[[float], None] = time.sleep


def check_host(host: str) -> str:
    """Returns the address of a server without a slash at its end.

    Raises:
      InputError: It is no address, or holds a password.
    """
    try:
        parts = urllib.parse.urlsplit(host)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or parts.query or parts.fragment:
        raise InputError("--host: expected an address such as https://kubeflow.example.com/pipeline")
    if "@" in parts.netloc:
        raise InputError(f"--host: must hold no user or password; sign in with {_WAYS_IN}")
    return host.rstrip("/")


def connect(
    host: str, *, credentials: Credentials, namespace: str | None = None, patience: Patience | None = None
) -> "Server":
    """Finds out whether a server is there.

    Args:
      host: Its address, see `check_host`.
      credentials: What it wants to see.
      namespace: Where the user's things are, on a server with several users.
      patience: How long to wait.

    Raises:
      ServerError: It is not, or does not let the user in.
      InputError: The namespace is missing, or there are none.
    """
    server = Server(
        host,
        client=_client(host, credentials=credentials),
        namespace=namespace,
        patience=patience or Patience(),
    )
    health = server.read("reach Kubeflow Pipelines", server.client.healthzs.healthz_service_get_healthz)
    if health.multi_user and not namespace:
        raise InputError(
            f"--namespace is missing: {host} has several users; give the namespace that is yours"
        )
    if namespace and not health.multi_user:
        raise InputError(f"--namespace {namespace}: {host} knows no namespaces; leave it out")
    return server


def _client(host: str, *, credentials: Credentials) -> Any:
    import kfp
    from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials

    # It announces each attempt that failed; how it ends is said below.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    token_file = credentials.token_file
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Which servers it works with, on every start.
        return kfp.Client(
            host=host,
            existing_token=credentials.token,
            credentials=ServiceAccountTokenVolumeCredentials(str(token_file)) if token_file else None,
            cookies=credentials.cookies,
            ssl_ca_cert=str(credentials.ca_file) if credentials.ca_file else None,
            # Without one it asks the server at once, and logs what comes back. `Server` has its own.
            namespace="unused",
        )


class Server:
    """A server that answers to `kfp.Client`.

    Attributes:
      host: Its address.
      client: The `kfp.Client`.
      namespace: Where the user's things are; None on a server without users.
    """

    def __init__(self, host: str, *, client: Any, namespace: str | None, patience: Patience) -> None:
        self.host = host
        self.client = client
        self.namespace = namespace
        self._patience = patience
        self._api_client = client.healthzs.healthz_service_get_healthz.__self__.api_client

    @property
    def scope(self) -> dict[str, str]:
        """The arguments that say whose things are meant; none on a server without users."""
        return {"namespace": self.namespace} if self.namespace else {}

    def page(self, path: str) -> str:
        """Returns the address of a page of the server's user interface."""
        return f"{self.host}/#/{path}"

    def read(self, task: str, operation: Callable[..., Any], **arguments: Any) -> Any:
        """Asks for something, and again for a while if there is no clear answer.

        Args:
          task: What for, to complete "cannot ...".
          operation: A method of the client's generated API that does no more when it is called twice.
          **arguments: For the operation.

        Returns:
          Its answer.

        Raises:
          ServerError: There is none.
        """
        for pause in self._patience.pauses:
            try:
                return self._ask(task, operation, **arguments)
            except UnclearError as error:
                if error.is_busy:
                    raise
            self._patience.sleep(pause)
        return self._ask(task, operation, **arguments)

    def log(self, run_id: str, pod: str) -> str:
        """Returns the log of one of a run's pods, or nothing if the server does not give it.

        Args:
          run_id: The run.
          pod: The pod, as the run's details name it.
        """
        import kfp_server_api
        import urllib3.exceptions

        for pause in (*self._patience.pauses, None):
            try:
                return self._ask_for_log(run_id, pod)
            except kfp_server_api.ApiException as error:
                if error.status < 500:
                    break
            except urllib3.exceptions.HTTPError:
                pass
            if pause is not None:
                self._patience.sleep(pause)
        return ""

    def _ask_for_log(self, run_id: str, pod: str) -> str:
        """Makes a request that is older than the API and not in its document; KFP's own page makes it."""
        response = self._api_client.call_api(
            "/apis/v1alpha1/runs/{run_id}/nodes/{node_id}/log",
            "GET",
            path_params={"run_id": run_id, "node_id": pod},
            auth_settings=["Bearer"],
            _preload_content=False,
            _request_timeout=(self._patience.connection, self._patience.answer),
        )
        is_page = "html" in response.headers.get("content-type", "")
        return "" if is_page else self._hide_secrets(response.data.decode(errors="replace"))

    def find_all(
        self, task: str, operation: Callable[..., Any], *, items: str, name: str | None = None, **where: Any
    ) -> list[Any]:
        """Lists things.

        Args:
          task: See `read`.
          operation: A method of the client's generated API that lists page by page.
          items: The attribute of its answer that holds the things.
          name: The display name they must have; None is any.
          **where: Further arguments for the operation.
        """
        if name is not None:
            predicate = {"operation": "EQUALS", "key": "display_name", "string_value": name}
            where["filter"] = json.dumps({"predicates": [predicate]})
        found: list[Any] = []
        token = ""
        while True:
            answer = self.read(task, operation, page_token=token, page_size=_PAGE_SIZE, **where)
            found += getattr(answer, items) or []
            token = answer.next_page_token
            if not token:
                return [thing for thing in found if name is None or thing.display_name == name]

    def find_named(self, operation: Callable[..., Any], *, items: str, name: str, **where: Any) -> Any:
        """Returns the first thing of a name, of which a server keeps one, or None; see `find_all`."""
        task = f"look for the {items.rpartition('_')[2].removesuffix('s')}"
        return next(iter(self.find_all(task, operation, items=items, name=name, **where)), None)

    def find_or_create(
        self,
        task: str,
        operation: Callable[..., _Thing],
        *,
        find: Callable[[], _Thing | None],
        key: str,
        **arguments: Any,
    ) -> tuple[_Thing, bool]:
        """Returns what is there already, or else makes it, once.

        After an answer that leaves it open whether it was made, it is looked for before it is made again. A
        server that may still be making it is not asked again.

        Args:
          task: See `read`.
          operation: A method of the client's generated API that makes it.
          find: Returns it if it is there.
          key: The attribute with its id.
          **arguments: For the operation.

        Returns:
          It, and whether it was made here.

        Raises:
          ServerError: It is not there and cannot be made.
        """
        found = find()
        if found is not None:
            return found, False
        for pause in (*self._patience.pauses, None):
            try:
                return self._ask(task, operation, key=key, **arguments), True
            except (ConflictError, UnclearError) as error:
                failure = error
            is_busy = isinstance(failure, UnclearError) and failure.is_busy
            found = self._look_again(
                find, failure=failure, times=len(self._patience.pauses) if is_busy else 0
            )
            if found is not None:
                return found, not isinstance(failure, ConflictError)
            if is_busy:
                raise UnclearError(f"{failure}; it may do it yet: look at {self.host} before you try again")
            if pause is None or isinstance(failure, ConflictError):
                break
            self._patience.sleep(pause)
        raise failure

    def _look_again(
        self, find: Callable[[], _Thing | None], *, failure: ServerError, times: int
    ) -> _Thing | None:
        """Looks for a thing at once and, with pauses, so many times more."""
        try:
            found = find()
            for pause in self._patience.pauses[:times]:
                if found is not None:
                    break
                self._patience.sleep(pause)
                found = find()
        except ServerError as error:
            raise UnclearError(f"{failure}; whether it was done is not known, for then: {error}") from None
        return found

    def _ask(
        self, task: str, operation: Callable[..., Any], *, key: str | None = None, **arguments: Any
    ) -> Any:
        """Makes one request; `key` is what its answer must hold."""
        import kfp_server_api
        import urllib3.exceptions

        patience = self._patience
        try:
            answer = operation(**arguments, _request_timeout=(patience.connection, patience.answer))
        except kfp_server_api.ApiException as error:
            raise self._refusal(task, status=error.status, body=error.body, reason=error.reason) from None
        except urllib3.exceptions.HTTPError as error:
            raise self._broken_connection(task, error) from None
        except OSError as error:  # The client reads the token's file again for each request.
            raise ServerError(f"cannot {task}: {error.filename} cannot be read ({error.strerror})") from None
        self._check_answer(task, answer, key=key)
        return answer

    def _check_answer(self, task: str, answer: Any, *, key: str | None) -> None:
        """Refuses what the client takes for an empty answer: half of one, or a page for people."""
        text = self._api_client.last_response.data
        try:
            is_object = isinstance(json.loads(text), dict)
        except ValueError:
            is_object = False
        if is_object and (key is None or getattr(answer, key)):
            return
        if text.lstrip().startswith("{"):
            raise UnclearError(f"cannot {task}: the answer of {self.host} is incomplete")
        raise ServerError(
            f"cannot {task}: {self.host} answers with a page for people, not as Kubeflow Pipelines; "
            f"check the address, and sign in with {_WAYS_IN}"
        )

    def _refusal(self, task: str, *, status: int, body: str | None, reason: str) -> ServerError:
        said = self._hide_secrets(_message_of(body) or reason or "no reason given")[:_LONGEST_MESSAGE]
        problem = f"cannot {task}: {self.host}"
        if status == 401:
            return ServerError(f"{problem} does not know you (401: {said}); sign in with {_WAYS_IN}")
        if status == 403:
            return ServerError(
                f"{problem} does not let you (403: {said}); ask its administrator for access to the namespace"
            )
        if status == 404:
            return ServerError(f"{problem} has no such thing (404: {said}); check the address")
        if status == 409:
            return ConflictError(f"{problem} has something of that name (409: {said})")
        if status in (408, 504):
            return UnclearError(f"{problem} took too long ({status}: {said})", is_busy=True)
        if status == 429 or status >= 500 or status == 0:
            return UnclearError(f"{problem} is in trouble ({status}: {said})")
        return ServerError(f"{problem} refuses ({status}: {said})")

    def _broken_connection(self, task: str, error: Exception) -> ServerError:
        from urllib3 import exceptions

        cause = getattr(error, "reason", None) if isinstance(error, exceptions.MaxRetryError) else error
        problem = f"cannot {task}: {self.host}"
        match cause:
            case exceptions.SSLError():
                return ServerError(
                    f"{problem} has a certificate that is not trusted; "
                    "give the one of its authority by --ca-file"
                )
            case exceptions.NewConnectionError() | exceptions.ConnectTimeoutError():
                return UnreachableError(f"{problem} cannot be reached; check the address and your network")
            case exceptions.ReadTimeoutError():
                return UnclearError(
                    f"{problem} did not answer within {self._patience.answer:g} s", is_busy=True
                )
        return UnclearError(f"{problem} broke the connection off")

    def _hide_secrets(self, text: str) -> str:
        """Takes out of a server's words what we had sent to prove who we are."""
        token = self._api_client.configuration.api_key.get("authorization")
        for secret in (token, self._api_client.cookie):
            if secret:
                text = text.replace(secret, _HIDDEN)
        return text


def _message_of(body: str | None) -> str:
    """Returns the first line of what an error's body says."""
    try:
        content = json.loads(body or "")
        text = content.get("message") or content.get("error") or ""
    except (ValueError, AttributeError):
        text = ""  # A page of a proxy.
    lines = str(text).strip().splitlines()
    return lines[0].rstrip(".") if lines else ""
