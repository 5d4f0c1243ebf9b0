"""Messages against a real server on this machine."""

import contextlib
import dataclasses
import hashlib
import hmac
import http.server
import json
import pathlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from components.errors import InputError
from pipeline.config.notify import NotifySettings
from pipeline.retraining.ledger import Tick
from pipeline.retraining.webhook import Webhook, WebhookError, messages, open_webhook

TICK = Tick(
    run="1", experiment="digits", began="2026-01-01T00:00:00+00:00", ended="2026-01-01T01:00:00+00:00"
)


@dataclasses.dataclass
class Receiver:
    """A server that answers with one status after the other, the last for ever, and keeps what it got."""

    statuses: list[int]
    url: str = ""
    requests: list[tuple[str, str, bytes]] = dataclasses.field(default_factory=list)


@contextlib.contextmanager
def _receiver(*statuses: int) -> Iterator[Receiver]:
    receiver = Receiver(list(statuses))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.requests.append((self.path, self.headers["X-Distill-Signature-256"], body))
            last = len(receiver.statuses) == 1
            self.send_response(receiver.statuses[0] if last else receiver.statuses.pop(0))
            self.send_header("Content-Length", "0")
            self.send_header("Location", "/elsewhere")
            self.send_header("Retry-After", "3600")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}/hook?token=abc"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


def test_a_message_is_signed_so_that_its_receiver_can_tell_who_sent_it() -> None:
    with _receiver(204) as receiver:
        Webhook(receiver.url, b"a secret").send({"event": "pushed", "version": "17"})

    ((path, signature, body),) = receiver.requests
    assert path == "/hook?token=abc"
    assert json.loads(body) == {"event": "pushed", "version": "17"}
    assert signature == "sha256=" + hmac.new(b"a secret", body, hashlib.sha256).hexdigest()


def test_the_documented_receiver_takes_what_is_sent_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DISTILL_WEBHOOK_SECRET", "a secret")
    text = pathlib.Path(__file__).parents[3].joinpath("docs", "retraining.md").read_text(encoding="utf-8")
    (code,) = (block for block in text.split("```") if block.startswith("python\n"))
    names: dict[str, Any] = {}
    exec(code.removeprefix("python\n"), names)
    with _receiver(200) as receiver:
        Webhook(receiver.url, b"a secret").send({"event": "refused"})
    ((_, signature, body),) = receiver.requests
    assert names["is_genuine"](body, signature)
    assert not names["is_genuine"](body + b" ", signature)
    assert not names["is_genuine"](body, "sha256=0")


def test_a_server_that_is_down_for_a_moment_is_asked_again() -> None:
    with _receiver(503, 200) as receiver:
        Webhook(receiver.url, b"s").send({"event": "failed"})
    assert len(receiver.requests) == 2
    assert receiver.requests[0] == receiver.requests[1]


@pytest.mark.parametrize(
    ("status", "attempts", "cause"),
    [(503, 4, "too many 503 error responses"), (404, 1, "it answered 404"), (302, 1, "it answered 302")],
)
def test_a_message_that_is_not_taken_says_so_without_secrets(status: int, attempts: int, cause: str) -> None:
    """`Retry-After: 3600` is not waited for, and no redirection is followed with a signed message."""
    with _receiver(status) as receiver, pytest.raises(WebhookError) as caught:
        Webhook(receiver.url, b"a secret").send({})
    assert str(caught.value) == f"127.0.0.1 took no message: {cause}"
    assert len(receiver.requests) == attempts


def test_a_server_that_is_not_there_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(WebhookError, match=r"^127\.0\.0\.1 took no message: NewConnectionError$"):
        Webhook(f"http://127.0.0.1:{port}/hook?token=abc", b"s").send({})


def test_the_secret_is_in_the_environment_and_never_shown() -> None:
    notify = NotifySettings(webhook="http://127.0.0.1/", secret_env="HOOK_SECRET")
    for environment in ({}, {"HOOK_SECRET": ""}):
        with pytest.raises(InputError, match="the environment variable HOOK_SECRET is not set; put"):
            open_webhook(notify, environment=environment)
    webhook = open_webhook(notify, environment={"HOOK_SECRET": "geheim"})
    assert webhook == Webhook("http://127.0.0.1/", b"geheim")
    assert "geheim" not in repr(webhook)
    assert open_webhook(NotifySettings(), environment={}) is None


@pytest.mark.parametrize("outcome", ["pushed", "refused", "stopped", "failed", "interrupted"])
def test_what_became_of_a_tick_is_told(outcome: str) -> None:
    tick = dataclasses.replace(TICK, outcome=outcome)
    (message,) = messages([tick], earlier=[], no_push_days=None)
    assert message == {"event": outcome, **dataclasses.asdict(tick)}


def test_that_nothing_is_new_is_not_told() -> None:
    assert (
        list(messages([dataclasses.replace(TICK, outcome="nothing new")], earlier=[], no_push_days=7)) == []
    )


def test_that_nothing_was_pushed_for_some_days_is_told_once_for_each_so_many() -> None:
    """Ticks at one o'clock on each of 20 days; the second pushes, and from then on nothing is new."""
    ticks = [
        dataclasses.replace(
            TICK,
            run=str(day),
            began=f"2026-01-{day:02}T00:00:00+00:00",
            ended=f"2026-01-{day:02}T01:00:00+00:00",
            outcome="pushed" if day == 2 else "nothing new",
        )
        for day in range(1, 21)
    ]
    told = {
        tick.run: message["days"]
        for number, tick in enumerate(ticks)
        for message in messages([tick], earlier=ticks[:number], no_push_days=7)
        if message["event"] == "no push"
    }
    assert told == {"9": 7, "16": 14}

    # Two days without a tick, of which the second would have been the seventh, make it late, not silent.
    (late,) = messages([ticks[9]], earlier=ticks[:7], no_push_days=7)
    assert (late["event"], late["days"]) == ("no push", 8)
