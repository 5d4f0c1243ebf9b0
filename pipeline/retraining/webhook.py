"""Messages about ticks: signed, posted to a webhook, retried, and never a reason to fail."""

import dataclasses
import datetime
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import urllib3

from components.errors import InputError
from pipeline.config.notify import NotifySettings
from pipeline.retraining.ledger import Tick

SIGNATURE_HEADER = "X-Distill-Signature-256"

_TIMEOUT = urllib3.Timeout(connect=5, read=10)  # Seconds, of each attempt.
# Up to four attempts, 0, 1 and 2 seconds apart; what the other side asks for could take as long as it likes.
_RETRY = urllib3.Retry(
    total=3,
    backoff_factor=0.5,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=None,
    respect_retry_after_header=False,
)


class WebhookError(Exception):
    """The webhook did not take a message. The text names neither the secret nor the path of the URL."""


@dataclasses.dataclass(frozen=True)
class Webhook:
    """Where messages go, and with which secret they are signed."""

    url: str
    secret: bytes = dataclasses.field(repr=False)

    def send(self, message: Mapping[str, Any]) -> None:
        """Posts a message as JSON, with the HMAC-SHA256 of its body in a header, as `sha256=HEX`.

        Raises:
          WebhookError: It was not taken, after some attempts within a good minute.
        """
        body = json.dumps(message).encode()
        signature = hmac.new(self.secret, body, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", SIGNATURE_HEADER: f"sha256={signature}"}
        try:
            with urllib3.PoolManager() as pool:
                response = pool.request(
                    "POST",
                    self.url,
                    body=body,
                    headers=headers,
                    timeout=_TIMEOUT,
                    retries=_RETRY,
                    redirect=False,
                )
        except urllib3.exceptions.HTTPError as error:
            raise WebhookError(f"{self._host} took no message: {_cause(error)}") from None
        if not 200 <= response.status < 300:
            raise WebhookError(f"{self._host} took no message: it answered {response.status}")

    @property
    def _host(self) -> str:
        return str(urllib3.util.parse_url(self.url).host)


def open_webhook(notify: NotifySettings, *, environment: Mapping[str, str]) -> Webhook | None:
    """Returns the webhook of a configuration, if it has one.

    Args:
      notify: The section of the configuration.
      environment: The variables of the environment, one of which holds the secret.

    Raises:
      InputError: The variable is not set, or empty.
    """
    if notify.webhook is None or notify.secret_env is None:
        return None
    secret = environment.get(notify.secret_env)
    if not secret:
        raise InputError(
            f"notify.secret_env: the environment variable {notify.secret_env} is not set; put the secret "
            "there with which messages to the webhook are signed."
        )
    return Webhook(notify.webhook, secret.encode())


def messages(
    ended: Sequence[Tick], *, earlier: Sequence[Tick], no_push_days: int | None
) -> Iterator[dict[str, Any]]:
    """Says what is worth a message.

    Args:
      ended: The ticks of an experiment that have ended now, the oldest first; at least one.
      earlier: Those before them.
      no_push_days: After how many days without a push a message says so, and again after as many; None is
        never.

    Yields:
      `{"event": ..., **tick}`, where the event is the outcome, or `no push`.
    """
    for tick in ended:
        if tick.outcome != "nothing new":
            yield {"event": tick.outcome, **dataclasses.asdict(tick)}
    if no_push_days is not None:
        days = _days_without_push([*earlier, *ended])
        if days // no_push_days > _days_without_push(earlier) // no_push_days:
            yield {"event": "no push", "days": days, **dataclasses.asdict(ended[-1])}


def _days_without_push(ticks: Sequence[Tick]) -> int:
    """Returns how many whole days lie between the last push, or the first tick, and the last tick's end."""
    if not ticks:
        return 0
    pushed = [tick.ended for tick in ticks if tick.outcome == "pushed"]
    since, now = (pushed or [ticks[0].began])[-1], ticks[-1].ended
    return (_moment(now) - _moment(since)).days


def _moment(time: str | None) -> datetime.datetime:
    return datetime.datetime.fromisoformat(str(time))


def _cause(error: urllib3.exceptions.HTTPError) -> str:
    """Says what went wrong, without the URL, which may hold a token."""
    reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
    if isinstance(reason, urllib3.exceptions.ResponseError):
        return str(reason)  # Such as `too many 503 error responses`.
    return type(reason).__name__
