"""A Kubeflow Pipelines server of the API v2beta1, as far as this project uses it, that can be made to fail.

It takes nothing that the API's schema does not allow (see `kfp_schema`), gives out its lists in short pages,
and leaves out of its answers what the real server leaves out.
"""

import collections
import contextlib
import dataclasses
import datetime
import email.message
import email.parser
import email.policy
import http.server
import json
import pathlib
import re
import socket
import ssl
import struct
import threading
import urllib.parse
from collections.abc import Callable
from typing import Any, Literal

import kfp_schema as schema
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from kfp_server_api import (
    ExperimentServiceApi,
    HealthzServiceApi,
    PipelineServiceApi,
    PipelineUploadServiceApi,
    RecurringRunServiceApi,
    RunServiceApi,
)

Fault = (
    Literal["reset", "reset after", "hang", "hang after", "half", "page", "die", "die after", "500 after"]
    | int
)
PAGE = 2
LOGIN = b"<!DOCTYPE html><title>Sign in</title>"
# gRPC's codes, which the real server writes beside its messages.
CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 429: 8, 500: 13, 503: 14, 504: 4}


@dataclasses.dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: email.message.Message
    body: Any


class RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Stub:
    """The server and what is on it. `fail` plans faults; `requests` are all that it was asked."""

    def __init__(self, *, certificate: tuple[pathlib.Path, pathlib.Path] | None = None) -> None:
        """Starts the server; with a certificate and its key it speaks TLS."""
        self._certificate = certificate
        self.pipelines: list[dict[str, Any]] = []
        self.versions: list[dict[str, Any]] = []
        self.experiments: list[dict[str, Any]] = []
        self.runs: list[dict[str, Any]] = []
        self.recurring_runs: list[dict[str, Any]] = []
        self.requests: list[Request] = []
        self.progress: list[dict[str, Any]] = [{"state": "SUCCEEDED"}]
        self.logs: dict[str, str] = {}
        self.multi_user = False
        self.token: str | None = None
        self.cookies: str | None = None
        self._faults: collections.deque[tuple[str, str, Fault, str]] = collections.deque()
        self._released = threading.Event()
        self._lock = threading.Lock()
        self._server: http.server.ThreadingHTTPServer | None = None
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http{'s' if self._certificate else ''}://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._server = _Server(("127.0.0.1", self._port), _Handler)
        self._server.stub = self
        if self._certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}).start()

    def stop(self) -> None:
        self._released.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def fail(self, method: str, path: str, *faults: Fault, message: str = "out of order") -> None:
        """Makes the next requests of a method whose path ends like this fail, one after the other."""
        self._faults += [(method, path, fault, message) for fault in faults]

    def asked(self, method: str, path: str) -> list[Request]:
        return [each for each in self.requests if each.method == method and each.path.endswith(path)]

    def next_fault(self, request: Request) -> tuple[Fault | None, str]:
        with self._lock:
            for planned in self._faults:
                method, path, fault, message = planned
                if request.method == method and request.path.endswith(path):
                    self._faults.remove(planned)
                    return fault, message
        return None, ""

    def wait_until_released(self) -> None:
        self._released.wait(60)

    def log(self, request: Request) -> str | None:
        """Returns the log of a pod, if that is what a request asks for."""
        match = re.fullmatch(r"/apis/v1alpha1/runs/[^/]+/nodes/(?P<pod>[^/]+)/log", request.path)
        if match is None:
            return None
        self._check_identity(request)
        # As recorded: what is no pod has an error for a log, with status 200.
        problem = (
            f"error fetching the log file of {match['pod']}: NoSuchKey: The specified key does not exist."
        )
        error = json.dumps({"error_message": problem, "error_details": f"BadRequestError: {problem}"})
        return self.logs.get(match["pod"], error)

    def answer(self, request: Request) -> dict[str, Any]:
        """Does what a request asks for, with the effects on what is on the server."""
        self._check_identity(request)
        for method, pattern, operation, model, act in ROUTES:
            match = re.fullmatch(f"/apis/v2beta1/{pattern}", request.path)
            if match and method == request.method:
                try:
                    schema.check_query(request.query, operation)
                    if model is not None:
                        schema.check_body(request.body, model)
                except schema.SchemaError as error:
                    raise RefusedError(400, str(error)) from None
                with self._lock:
                    return act(self, request, **match.groupdict())
        raise RefusedError(404, "Not Found")

    def _check_identity(self, request: Request) -> None:
        if self.token and request.headers["authorization"] != f"Bearer {self.token}":
            raise RefusedError(401, f"Request header error: {request.headers['authorization']} is no user")
        if self.cookies and request.headers["cookie"] != self.cookies:
            raise RefusedError(401, f"no session {request.headers['cookie']}")

    def health(self, request: Request) -> dict[str, Any]:
        return {
            "commit_sha": "unknown",
            "tag_name": "unknown",
            "multi_user": self.multi_user,
            "pipeline_store": "database",
        }

    def create_pipeline(self, request: Request) -> dict[str, Any]:
        pipeline = request.body | {"name": request.body["display_name"]}
        return self._add(self.pipelines, pipeline, key="pipeline_id", is_unique=True)

    def create_experiment(self, request: Request) -> dict[str, Any]:
        return self._add(self.experiments, request.body, key="experiment_id", is_unique=True)

    def upload_version(self, request: Request) -> dict[str, Any]:
        self._find(self.pipelines, "pipeline_id", request.query["pipelineid"])
        documents = list(yaml.safe_load_all(request.body))
        try:
            json_format.ParseDict(documents[0], pipeline_spec_pb2.PipelineSpec())
            for document in documents[1:]:
                json_format.ParseDict(document, pipeline_spec_pb2.PlatformSpec())
        except json_format.ParseError as error:
            raise RefusedError(400, f"Invalid pipeline spec: {error}") from None
        name, pipeline_id = request.query["name"], request.query["pipelineid"]
        siblings = [each for each in self.versions if each["pipeline_id"] == pipeline_id]
        self._refuse_duplicate(siblings, name)
        version = {"display_name": name, "name": name, "pipeline_id": pipeline_id}
        return self._add(self.versions, version, key="pipeline_version_id")

    def create_run(self, request: Request) -> dict[str, Any]:
        self._check_references(request.body)
        run = request.body | {"state": "PENDING"}
        return self._add(self.runs, run, key="run_id")

    def get_run(self, request: Request, id: str) -> dict[str, Any]:
        run = self._find(self.runs, "run_id", id)
        if len(self.progress) > 1:
            return run | self.progress.pop(0)
        return run | self.progress[0]

    def create_recurring_run(self, request: Request) -> dict[str, Any]:
        self._check_references(request.body)
        if not 1 <= int(request.body["max_concurrency"]) <= 10:
            raise RefusedError(400, "Max concurrency of a recurring run must be at least 1 and at most 10")
        # As recorded: what is false or empty is left out, and some things are the server's own.
        job = {key: value for key, value in request.body.items() if value}
        job.setdefault("service_account", "pipeline-runner")
        job.setdefault("namespace", "kubeflow")
        # It knows of no status until the scheduler has seen it.
        job["status"] = "STATUS_UNSPECIFIED" if request.body["mode"] == "ENABLE" else "DISABLED"
        job["updated_at"] = _now()
        if not any(job["runtime_config"].values()):
            del job["runtime_config"]
        return self._add(self.recurring_runs, job, key="recurring_run_id")

    def disable_recurring_run(self, request: Request, id: str) -> dict[str, Any]:
        changes = {"status": "DISABLED", "mode": "DISABLE", "updated_at": _now()}
        self._find(self.recurring_runs, "recurring_run_id", id).update(changes)
        return {}

    def delete_recurring_run(self, request: Request, id: str) -> dict[str, Any]:
        return self._delete(self.recurring_runs, "recurring_run_id", id)

    def delete_run(self, request: Request, id: str) -> dict[str, Any]:
        return self._delete(self.runs, "run_id", id)

    def delete_experiment(self, request: Request, id: str) -> dict[str, Any]:
        return self._delete(self.experiments, "experiment_id", id)

    def delete_version(self, request: Request, pipeline: str, id: str) -> dict[str, Any]:
        return self._delete(self.versions, "pipeline_version_id", id)

    def delete_pipeline(self, request: Request, id: str) -> dict[str, Any]:
        if any(version["pipeline_id"] == id for version in self.versions):
            raise RefusedError(400, f"pipeline {id} has versions")
        return self._delete(self.pipelines, "pipeline_id", id)

    def list_pipelines(self, request: Request) -> dict[str, Any]:
        return self._page(self.pipelines, "pipelines", request)

    def list_experiments(self, request: Request) -> dict[str, Any]:
        return self._page(self.experiments, "experiments", request)

    def list_versions(self, request: Request, id: str) -> dict[str, Any]:
        return self._page(
            [each for each in self.versions if each["pipeline_id"] == id], "pipeline_versions", request
        )

    def list_runs(self, request: Request) -> dict[str, Any]:
        of = request.query["experiment_id"]
        return self._page([each for each in self.runs if each["experiment_id"] == of], "runs", request)

    def list_recurring_runs(self, request: Request) -> dict[str, Any]:
        return self._page(self.recurring_runs, "recurringRuns", request)

    def _page(self, things: list[dict[str, Any]], key: str, request: Request) -> dict[str, Any]:
        namespace = request.query.get("namespace")
        if (
            bool(namespace) != self.multi_user
            and "experiment_id" not in request.query
            and key != "pipeline_versions"
        ):
            raise RefusedError(400, f"namespace {namespace!r} with multi_user={self.multi_user}")
        if text := request.query.get("filter"):
            filter_ = json.loads(text)
            schema.check_body(filter_, "V2beta1Filter", "filter")
            (predicate,) = filter_["predicates"]
            assert (predicate["operation"], predicate["key"]) == ("EQUALS", "display_name")
            things = [each for each in things if each["display_name"] == predicate["string_value"]]
        start = int(request.query.get("page_token") or 0)
        page = things[start : start + PAGE]
        answer: dict[str, Any] = {key: page, "total_size": len(things)} if page else {}
        if start + PAGE < len(things):
            answer["next_page_token"] = str(start + PAGE)
        return answer

    def _check_references(self, body: dict[str, Any]) -> None:
        reference = body["pipeline_version_reference"]
        version = self._find(self.versions, "pipeline_version_id", reference["pipeline_version_id"])
        assert version["pipeline_id"] == reference["pipeline_id"]
        self._find(self.experiments, "experiment_id", body["experiment_id"])

    def _add(
        self, things: list[dict[str, Any]], thing: dict[str, Any], *, key: str, is_unique: bool = False
    ) -> dict[str, Any]:
        if is_unique:
            self._refuse_duplicate(things, thing["display_name"])
        made = thing | {
            key: f"{key}-{len(things) + 1}",
            "created_at": _now(),
        }
        things.append(made)
        return made

    def _refuse_duplicate(self, things: list[dict[str, Any]], name: str) -> None:
        if any(each["display_name"] == name for each in things):
            raise RefusedError(
                409, f"Already exist error: The name {name} already exist. Please specify a new name."
            )

    def _delete(self, things: list[dict[str, Any]], key: str, value: str) -> dict[str, Any]:
        things.remove(self._find(things, key, value))
        return {}

    def _find(self, things: list[dict[str, Any]], key: str, value: str) -> dict[str, Any]:
        for thing in things:
            if thing[key] == value:
                return thing
        raise RefusedError(404, f"ResourceNotFoundError: {value} not found.")


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


Act = Callable[..., dict[str, Any]]
ROUTES: list[tuple[str, str, Any, str | None, Act]] = [
    ("GET", "healthz", HealthzServiceApi.healthz_service_get_healthz, None, Stub.health),
    ("GET", "pipelines", PipelineServiceApi.pipeline_service_list_pipelines, None, Stub.list_pipelines),
    (
        "POST",
        "pipelines",
        PipelineServiceApi.pipeline_service_create_pipeline,
        "V2beta1Pipeline",
        Stub.create_pipeline,
    ),
    (
        "GET",
        "pipelines/(?P<id>[^/]+)/versions",
        PipelineServiceApi.pipeline_service_list_pipeline_versions,
        None,
        Stub.list_versions,
    ),
    (
        "POST",
        "pipelines/upload_version",
        PipelineUploadServiceApi.upload_pipeline_version,
        None,
        Stub.upload_version,
    ),
    (
        "GET",
        "experiments",
        ExperimentServiceApi.experiment_service_list_experiments,
        None,
        Stub.list_experiments,
    ),
    (
        "POST",
        "experiments",
        ExperimentServiceApi.experiment_service_create_experiment,
        "V2beta1Experiment",
        Stub.create_experiment,
    ),
    ("GET", "runs", RunServiceApi.run_service_list_runs, None, Stub.list_runs),
    ("POST", "runs", RunServiceApi.run_service_create_run, "V2beta1Run", Stub.create_run),
    ("GET", "runs/(?P<id>[^/]+)", RunServiceApi.run_service_get_run, None, Stub.get_run),
    (
        "GET",
        "recurringruns",
        RecurringRunServiceApi.recurring_run_service_list_recurring_runs,
        None,
        Stub.list_recurring_runs,
    ),
    (
        "POST",
        "recurringruns",
        RecurringRunServiceApi.recurring_run_service_create_recurring_run,
        "V2beta1RecurringRun",
        Stub.create_recurring_run,
    ),
    (
        "POST",
        "recurringruns/(?P<id>[^/:]+):disable",
        RecurringRunServiceApi.recurring_run_service_disable_recurring_run,
        None,
        Stub.disable_recurring_run,
    ),
    (
        "DELETE",
        "recurringruns/(?P<id>[^/:]+)",
        RecurringRunServiceApi.recurring_run_service_delete_recurring_run,
        None,
        Stub.delete_recurring_run,
    ),
    ("DELETE", "runs/(?P<id>[^/]+)", RunServiceApi.run_service_delete_run, None, Stub.delete_run),
    (
        "DELETE",
        "experiments/(?P<id>[^/]+)",
        ExperimentServiceApi.experiment_service_delete_experiment,
        None,
        Stub.delete_experiment,
    ),
    (
        "DELETE",
        "pipelines/(?P<pipeline>[^/]+)/versions/(?P<id>[^/]+)",
        PipelineServiceApi.pipeline_service_delete_pipeline_version,
        None,
        Stub.delete_version,
    ),
    (
        "DELETE",
        "pipelines/(?P<id>[^/]+)",
        PipelineServiceApi.pipeline_service_delete_pipeline,
        None,
        Stub.delete_pipeline,
    ),
]


class _Server(http.server.ThreadingHTTPServer):
    allow_reuse_address = True
    stub: Stub


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # Or each answer waits 40 ms for the client to acknowledge its first half.
    server: _Server

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_DELETE(self) -> None:
        self._handle()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Prints nothing."""

    def _handle(self) -> None:
        stub = self.server.stub
        request = self._request()
        stub.requests.append(request)
        fault, message = stub.next_fault(request)
        if fault == "hang":
            stub.wait_until_released()
        if fault in ("hang", "reset"):
            return self._reset()
        if fault == "page":
            return self._send(200, LOGIN, content_type="text/html")
        if fault == "die":
            return self._die()
        try:
            if isinstance(fault, int):
                raise RefusedError(fault, message)
            log = stub.log(request)
            if log is not None:
                return self._send(200, log.encode(), content_type="text/plain")
            status, content = 200, stub.answer(request)
            if fault == "500 after":
                raise RefusedError(500, message)
        except RefusedError as refused:
            status = refused.status
            content = {"error": str(refused), "code": CODES[status], "message": str(refused), "details": []}
        body = json.dumps(content).encode()
        if fault == "hang after":
            stub.wait_until_released()
        if fault in ("hang after", "reset after"):
            return self._reset()
        if fault == "die after":
            return self._die()
        return self._send(status, body, sent=len(body) // 2 if fault == "half" else None)

    def _request(self) -> Request:
        parts = urllib.parse.urlsplit(self.path)
        content = self.rfile.read(int(self.headers["content-length"] or 0))
        content_type = self.headers["content-type"] or ""
        body: Any = None
        if content_type.startswith("multipart/form-data"):
            head = f"Content-Type: {content_type}\r\n\r\n".encode()
            (part,) = (
                email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + content).iter_parts()
            )
            disposition = part["content-disposition"].params
            assert disposition["name"] == "uploadfile"
            assert disposition["filename"].endswith(".yaml")
            body = part.get_payload(decode=True).decode()
        elif content:
            body = json.loads(content)
        query = dict(urllib.parse.parse_qsl(parts.query))
        return Request(self.command, parts.path, query, self.headers, body)

    def _send(
        self, status: int, body: bytes, *, content_type: str = "application/json", sent: int | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")  # A server that was stopped answers no more.
        self.end_headers()
        self.wfile.write(body[:sent])

    def _reset(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def _die(self) -> None:
        self._reset()
        server = self.server
        server.stub._server = None
        server.shutdown()
        server.socket.close()
