"""Starts a worker of Beam: the program that a runner calls where its environment is PROCESS.

It takes the arguments of the boot program in Beam's containers, which is no part of the Python package.
"""

import argparse
import json
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc
from apache_beam.runners.worker import sdk_worker_main
from google.protobuf import json_format, text_format

from components import tfx_patches

_SECONDS_TO_BE_PROVISIONED = 60.0


def run_worker(worker_id: str, provision_endpoint: str, *, connected: Callable[[], None]) -> None:
    """Runs a worker until the runner has no more work for it.

    Args:
      worker_id: By which the runner knows the worker.
      provision_endpoint: Where the runner says what the worker needs to know.
      connected: Is called once the runner has been reached.

    Raises:
      grpc.RpcError: The runner cannot be reached, or is gone.
    """
    os.environ |= _environment(worker_id, _provision(worker_id, provision_endpoint))
    log_handler, harness, _ = sdk_worker_main.create_harness(os.environ)
    connected()
    try:
        with tfx_patches.one_s3_client():
            harness.run()
    finally:
        if log_handler:
            log_handler.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the worker that the command line names."""
    parser = argparse.ArgumentParser(description="Run a worker of Beam, which its runner starts.")
    parser.add_argument("--id", required=True, help="by which the runner knows the worker")
    parser.add_argument("--provision_endpoint", required=True, help="where the runner says the rest")
    given, _ = parser.parse_known_args(arguments)
    signal.signal(signal.SIGTERM, leave)
    worker_id = given.id.strip("'")  # Prism puts it into quotes, which no shell takes away.
    run_worker(worker_id, given.provision_endpoint, connected=lambda: None)


def leave(*_: object) -> None:
    """Ends a worker on a signal as if it had come to its end, so that its temporary files go with it."""
    raise SystemExit


def _provision(worker_id: str, endpoint: str) -> Any:
    with grpc.insecure_channel(endpoint) as channel:
        stub = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        answer = stub.GetProvisionInfo(
            beam_provision_api_pb2.GetProvisionInfoRequest(),
            metadata=[("worker_id", worker_id)],
            timeout=_SECONDS_TO_BE_PROVISIONED,
        )
    return answer.info


def _environment(worker_id: str, info: Any) -> dict[str, str]:
    """Returns what Beam's worker reads in its environment."""
    found = {
        "WORKER_ID": worker_id,
        "PIPELINE_OPTIONS": json.dumps(json_format.MessageToDict(info.pipeline_options)),
        "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(info.control_endpoint),
        "LOGGING_API_SERVICE_DESCRIPTOR": text_format.MessageToString(info.logging_endpoint),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }
    if info.HasField("status_endpoint"):
        found["STATUS_API_SERVICE_DESCRIPTOR"] = text_format.MessageToString(info.status_endpoint)
    return found


if __name__ == "__main__":
    main()
