"""The `notify` section of the configuration: whom unattended retraining tells what became of it."""

import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from components.settings.base import PositiveInt, Settings, custom_error

_WEBHOOK = re.compile(r"https?://[^/\s]+\S*")
_TEXTFILE = ".prom"


class NotifySettings(Settings):
    """Who is told what became of a tick; nothing here changes what is trained.

    Attributes:
      webhook: The URL to which messages are posted; None sends none.
      secret_env: The environment variable that holds the secret with which messages are signed.
      no_push_days: After how many days without a push a message says so, and again after as many.
      prometheus: A file for the textfile collector of Prometheus' node exporter; None writes none.
    """

    webhook: str | None = None
    secret_env: Annotated[str, Field(min_length=1)] | None = None
    no_push_days: PositiveInt | None = None
    prometheus: str | None = None

    @model_validator(mode="after")
    def _messages_can_be_sent(self) -> Self:
        if self.webhook is None:
            for key in ("secret_env", "no_push_days"):
                if getattr(self, key) is not None:
                    raise custom_error(f"{key}: there is no webhook to send to; give one, or leave it out")
        elif not _WEBHOOK.fullmatch(self.webhook):
            raise custom_error("webhook: must be a URL of http:// or https://")
        elif self.secret_env is None:
            raise custom_error(
                "secret_env: is missing; name the environment variable with the secret that signs messages"
            )
        return self

    @model_validator(mode="after")
    def _metrics_are_collected(self) -> Self:
        if self.prometheus is not None and not self.prometheus.endswith(_TEXTFILE):
            raise custom_error(
                f"prometheus: got {self.prometheus!r}; the textfile collector reads only files that end in "
                f"{_TEXTFILE}"
            )
        return self
