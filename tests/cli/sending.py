"""A sender over TLS, an endpoint that it delivers to, and the commands that call its API, for the tests of commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.cli.commands import Ran, kirimhook
from tests.serving.senders import Consumer, Sending, consumer


class Platform(NamedTuple):
    """`run` is `kirimhook` with the options that say which API."""

    sending: Sending
    consumer: Consumer
    ca: Path

    def run(self, *arguments: str, stdin: bytes = b"") -> Ran:
        which = ("--api-url", self.sending.url, "--key", self.sending.key, "--ca-bundle", str(self.ca))
        return kirimhook(*arguments, *which, stdin=stdin)

    def publish(self, event_id: str) -> None:
        """An event of the type contact.created."""
        done = self.run("sender", "publish", "contact.created", "--data", "{}", "--id", event_id)
        assert done.code == 0, done.errors

    def subscribe(self, *arguments: str) -> str:
        """The id of a new subscription."""
        made = self.run(
            "subscriptions", "create", "--url", self.consumer.url, "--event", "contact.created", "--json", *arguments
        )
        assert made.code == 0, made.errors
        return str(made.data["id"])


@contextmanager
def platform(folder: Path) -> Iterator[Platform]:
    with consumer() as receiving, Sending(folder, "--tls", *receiving.trusting) as sending:
        sending.started()
        yield Platform(sending, receiving, folder / "kirimhook-sender-tls" / "ca.pem")
