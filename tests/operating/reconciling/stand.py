"""A sender, a receiver over TLS that comes and goes on one port, and `kirimhook reconcile` between them, all real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kirimhook.client import Kirim
from kirimhook.contract import samples
from kirimhook.contract.resources import Delivery, Subscription
from kirimhook.operating.files import STATE_VARIABLE
from kirimhook.testing.devca import DevCertificates, make_certificates
from kirimhook.testing.served import Served
from tests.cli.commands import Ran, kirimhook
from tests.crash.waiting import until
from tests.serving.processes import post

HOOKS = """
from pathlib import Path
from kirimhook import Event, Hooks, Park

hooks = Hooks()


@hooks.on("*")
def handled(event: Event) -> Park | None:
    if "park" in event.id:
        return Park("asked for")
    with Path("handled").open("a") as file:
        file.write(f"{event.id} {next((one['status'] for one in event.statuses), '')}\\n")
    return None
"""
TYPES = ("contact.created", "message.received", "message.status")
STATUSES = ("sent", "delivered", "read")
MAX_BODY = 20_000
"""Bytes that the receiver takes: a larger event is refused for good (413)."""


class Stand:
    """One subscription. The receiver is away until `receive`."""

    def __init__(self, folder: Path, sender: Served, key: str, certificates: DevCertificates) -> None:
        self.folder = folder
        self.inbox = f"sqlite:///{folder / 'inbox.db'}"
        self.database = f"sqlite:///{folder / 'kirimhook-sender.db'}"
        self.secrets = folder / "secrets.txt"
        self.url, self.key = str(sender.started()["url"]), key
        self.api = Kirim(key, base_url=self.url)
        self._certificates = certificates
        self._port = "0"
        self._receiver: Served | None = None
        self.subscription: Subscription

    @property
    def id(self) -> str:
        return self.subscription.id

    @property
    def environment(self) -> dict[str, str]:
        return {
            "KIRIM_API_URL": self.url,
            "KIRIM_KEY": self.key,
            "KIRIMHOOK_INBOX": self.inbox,
            STATE_VARIABLE: str(self.folder / "state"),
        }

    def receive(self) -> Served:
        tls = ["--tls-cert", str(self._certificates.certificate), "--tls-key", str(self._certificates.key)]
        ports = ["--port", self._port, "--admin-port", "0", "--max-body", str(MAX_BODY)]
        words = ["serve", "hooks:hooks", *ports, *tls, "--secrets-file", str(self.secrets), "--inbox", self.inbox]
        self._receiver = Served(words, folder=self.folder)
        self._port = str(self._receiver.started()["port"])
        return self._receiver

    def lose(self) -> None:
        """The receiver is away from now on."""
        assert self._receiver is not None
        assert self._receiver.terminate() == 0

    def subscribe(self) -> None:
        """And let the receiver be seen once, so that it has a port, and an inbox."""
        self.secrets.write_text("")
        started = self.receive().started()
        self.subscription = self.api.webhook_subscriptions.create(url=started["url"], events=list(TYPES))
        assert self.subscription.initial_secret is not None
        self.secrets.write_text(self.subscription.initial_secret.reveal() + "\n")
        self.lose()

    def publish(self, *ids: str, size: int = 10) -> None:
        for one in ids:
            self.api.events.publish(type="contact.created", id=one, data={"contact": {"id": one, "name": "x" * size}})

    def publish_statuses(self, message: str) -> None:
        """The three of one message: they share one event id."""
        for name in STATUSES:
            body = samples.load(f"message.status.{name}").renewed(event_id=message).body
            self.api.events.publish_raw(body, source="meta", type="message.status", event_id=message)

    def arrives(self, event_id: str) -> None:
        """Straight at the receiver, as if its answer had been lost on the way."""
        assert self.subscription.initial_secret is not None
        assert self._receiver is not None
        url = self._receiver.started()["url"]
        context = self._certificates.client_context()
        assert post(url, event_id, secret=self.subscription.initial_secret, context=context) == (200, b"ok")

    def letters(self) -> list[Delivery]:
        return list(self.api.webhook_deliveries.list(subscription_id=self.id, status="dead", unreplayed=True))

    def replays(self) -> list[Delivery]:
        return list(self.api.webhook_deliveries.list(subscription_id=self.id, kind="replay"))

    def died(self, count: int) -> None:
        """Wait until there are so many letters."""
        until(lambda: len(self.letters()) >= count, f"{count} dead letters")
        assert len(self.letters()) == count

    def handled(self) -> Counter[str]:
        """How often each event was."""
        file = self.folder / "handled"
        return Counter(line.strip() for line in file.read_text().splitlines()) if file.exists() else Counter()

    def handles(self, *wanted: str) -> None:
        """Wait until these were handled; each once, and nothing else."""
        until(lambda: set(self.handled()) >= set(wanted), f"{len(wanted)} handled")
        assert self.handled() == Counter(wanted)

    def settled(self) -> None:
        """Wait until nothing is open at the sender, and see that its account balances."""
        for status in ("pending", "failed"):
            until(lambda: not list(self.api.webhook_deliveries.list(status=status, limit=1)), f"nothing {status}")  # noqa: B023  # asked at once
        ledger = kirimhook("sender", "ledger", "--database", self.database, "--json")
        assert ledger.code == 0, ledger.errors

    def reconcile(self, *more: str) -> Ran:
        """Run it in this process, with `--json`."""
        return kirimhook("reconcile", self.id, "--json", *more)

    @contextmanager
    def reconciling(self, *more: str) -> Iterator[subprocess.Popen[str]]:
        """The same as a process. Killed in the end, if it is still there."""
        process = subprocess.Popen(
            [sys.executable, "-m", "kirimhook", "reconcile", self.id, "--json", *more],
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    def end(self) -> None:
        self.api.close()
        if self._receiver is not None:
            self._receiver.end()


@contextmanager
def standing(folder: Path, *options: str) -> Iterator[Stand]:
    """A delivery is a dead letter after two attempts, 0.2 s apart, unless `options` say otherwise."""
    (folder / "hooks.py").write_text(HOOKS)
    (folder / "tls").mkdir()
    certificates = make_certificates(folder / "tls")
    usual = ("--schedule", "0,0.2", "--set", "attempt_timeout=2", "--set", "disable_after=100000")
    words = ["sender", "--port", "0", "--admin-port", "0", "--allow-network", "127.0.0.0/8", *usual, *options]
    with Served([*words, "--ca-bundle", str(certificates.ca)], folder=folder) as sender:
        made = kirimhook(
            "sender", "keys", "create", "--org", "test", "--json", "--database", str(sender.started()["database"])
        )
        stand = Stand(folder, sender, made.data["key"], certificates)
        try:
            stand.subscribe()
            yield stand
        finally:
            stand.end()


def lines(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """What it says, as it comes."""
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line) if line.startswith("{") else {"said": line.rstrip("\n")}
