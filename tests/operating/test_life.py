"""The whole life of a subscription by commands alone, between a real sender and a real receiver over TLS.

Create, receive, rotate under load, an outage, dead letters, reconcile; in the end the sender's ledger and the inbox
balance, and every event was handled once. What each command says with `--json` is what it says it is.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self
from urllib.request import urlopen

import pytest
from pydantic import ConfigDict, create_model

from kirimhook.cli.posting import another
from kirimhook.client import Kirim
from kirimhook.contract import samples
from kirimhook.contract.codec import Resource
from kirimhook.contract.resources import Delivery, DeliveryKind, DeliveryStatus, SecretInfo, Subscription
from kirimhook.contract.samples import Sample
from kirimhook.contract.signature import Secret
from kirimhook.receiver.model import Receipt
from kirimhook.receiver.secrets.listing import from_file
from kirimhook.testing.devca import DevCertificates, make_certificates
from kirimhook.testing.served import Served
from tests.cli.commands import kirimhook
from tests.crash.waiting import until

HOOKS = """
from pathlib import Path
from kirimhook import Hooks

hooks = Hooks()


@hooks.on("*")
def handled(event):
    with Path("handled").open("a") as file:
        file.write(f"{event.type} {event.id} {event.number}\\n")
"""
TYPES = ["contact.created", "message.received", "message.status"]
STATUSES = ["message.status.sent", "message.status.delivered", "message.status.read"]
ANY_PORT = ["--port", "0", "--admin-port", "0"]


RESOURCES: dict[str, type[Resource]] = {
    "subscriptions": Subscription,
    "secrets": SecretInfo,
    "deliveries": Delivery,
}
COUNTS = dict[str, int]
SHAPES: dict[str, dict[str, Any]] = {
    "doctor": {
        "url": str,
        "healthy": bool,
        **dict.fromkeys(("passed", "warned", "failed", "left_out", "not_run", "requests"), int),
        "seconds": float,
        "events": list[str],
        "checks": list[dict[str, str | None]],
    },
    "rotate": {
        **dict.fromkeys(("subscription_id", "result", "step"), str),
        "resumed": str | None,
        "added": dict[str, str],
        "removed": list[str],
        "dropped": list[str],
        "seconds": float,
    },
    "reconcile": {
        "subscription_id": str,
        "letters": COUNTS,
        **dict.fromkeys(("replayed", "gone", "refused", "unsure", "left"), int),
        "stopped": str | None,
        "detail": str | None,
        "examples": list[dict[str, Any]],
    },
    "inbox stats": {"states": COUNTS, "paused": bool, "oldest_waiting_seconds": float | None, "bytes": int},
    "deliveries replay": {"object": str, "id": str, "replayed_from": str, "status": str},
    "subscriptions delete": {"id": str, "deleted": bool},
    "sender ledger": {
        "balances": bool,
        **dict.fromkeys(("problems", "organisations", "subscriptions"), list[dict[str, Any]]),
    },
}
"""What each command says, where it is no resource of the API."""


def run(*words: str) -> Any:
    """One command with `--json`, which ends well; what it says, which is what it should be. Lists are lines."""
    ran = kirimhook(*words, "--json")
    assert ran.code == 0, ran.errors
    assert "whsec_" not in ran.out + ran.errors
    said = ran.lines if words[1] == "list" else ran.data
    shape = SHAPES.get(" ".join(words[:2]), SHAPES.get(words[0]))
    if shape is None:
        resource = RESOURCES[words[0]]
        for one in said if isinstance(said, list) else [said]:
            assert resource.from_json(one).to_json() == one
    else:
        fields: dict[str, Any] = {name: (kind, ...) for name, kind in shape.items()}
        create_model("Said", __config__=ConfigDict(extra="forbid", strict=True), **fields).model_validate(said)
    return said


class Load:
    """An application that publishes without a pause, until it is left."""

    def __init__(self, kirim: Kirim) -> None:
        self._kirim = kirim
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._publish)
        self.published = 0
        self.problem: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _publish(self) -> None:
        data = json.loads(samples.load("contact.created").body)["data"]
        try:
            while not self._over.wait(0.01):
                self._kirim.events.publish(type="contact.created", data=data)
                self.published += 1
        except BaseException as error:
            self.problem = error


class World:
    """A sender and the folder of a receiver; the receiver comes and goes."""

    def __init__(self, folder: Path, sender: Served, certificates: DevCertificates) -> None:
        self.folder = folder
        self.sender = sender
        self.certificates = certificates
        self.ca = folder / "kirimhook-sender-tls" / "ca.pem"
        self.trust = ssl.create_default_context(cafile=str(self.ca))
        self._tls = ["--tls-cert", str(certificates.certificate), "--tls-key", str(certificates.key)]
        self._port = "0"
        self.receiver: Served | None = None

    def receive(self) -> dict[str, Any]:
        """From now on, always on the same port."""
        ports = ["--port", self._port, "--admin-port", "0"]
        words = ["serve", "hooks:hooks", *ports, *self._tls, "--secrets-file", "secrets.txt", "--workers", "2"]
        self.receiver = Served(words, folder=self.folder)
        started = self.receiver.started()
        self._port = str(started["port"])
        return started

    def stop_receiving(self) -> None:
        assert self.receiver is not None
        assert self.receiver.terminate() == 0

    def refused(self) -> int:
        """Requests since the receiver was started that were not stored, and were no duplicates."""
        assert self.receiver is not None
        with urlopen(f"{self.receiver.started()['admin_url']}/status", timeout=30) as answer:
            counts = json.load(answer)["counters"]["kirimhook_requests_total"]
        return sum(count for result, count in counts.items() if result not in list(Receipt))

    def handled(self) -> Counter[str]:
        """How often each event was."""
        file = self.folder / "handled"
        return Counter(file.read_text().splitlines() if file.exists() else [])


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    (tmp_path / "hooks.py").write_text(HOOKS)
    (tmp_path / "receiving").mkdir()
    certificates = make_certificates(tmp_path / "receiving", "localhost")
    words = ["sender", *ANY_PORT, "--tls", "--ca-bundle", str(certificates.ca), "--allow-network", "127.0.0.0/8"]
    with Served([*words, "--schedule", "0,0.2", "--set", "attempt_timeout=2"], folder=tmp_path) as sender:
        started = sender.started()
        database = f"sqlite:///{tmp_path}/kirimhook-sender.db"
        monkeypatch.setenv("KIRIM_API_URL", started["url"])
        monkeypatch.setenv("KIRIMHOOK_DATABASE", database)
        monkeypatch.setenv("KIRIMHOOK_INBOX", f"sqlite:///{tmp_path}/inbox.db")
        monkeypatch.setenv("KIRIMHOOK_STATE", str(tmp_path / "state"))
        monkeypatch.setenv("KIRIM_KEY", kirimhook("sender", "keys", "create", "--org", "acme").out.strip())
        here = World(tmp_path, sender, certificates)
        yield here
        if here.receiver is not None:
            here.receiver.end()


class Life:
    """Of one subscription, stage by stage."""

    def __init__(self, world: World) -> None:
        started = world.receive()
        self._world = world
        self._ca = ["--ca-bundle", str(world.ca)]
        self._admin = str(started["admin_url"])
        self._url = str(started["url"]).replace("127.0.0.1", "localhost")
        self._secrets = world.folder / "secrets.txt"
        self._id = ""
        self._published = 0
        self._states: dict[str, int] = {}

    def subscribe(self) -> None:
        """The secret goes into the receiver's file, and nowhere else."""
        events = [word for one in TYPES for word in ("--event", one)]
        file = ["--secrets-file", str(self._secrets)]
        made = Subscription.from_json(self._run("subscriptions", "create", "--url", self._url, *events, *file))
        assert (made.status, list(made.events), made.url) == ("active", TYPES, self._url)
        assert len(self._in_file()) == 1
        assert [one["id"] for one in self._run("secrets", "list", made.id)] == [one.id for one in made.secrets]
        self._id = made.id

    def be_examined(self) -> None:
        trusted = ["--secrets-file", str(self._secrets), "--ca-bundle", str(self._world.certificates.ca)]
        examined = run("doctor", self._url, *trusted)
        assert (examined["healthy"], examined["failed"]) == (True, 0)
        self._states = run("inbox", "stats")["states"]
        assert self._states["done"] == 0

    def rotate_under_load(self) -> None:
        """Nothing is refused, and nothing needs a second attempt."""
        [before], refused = self._in_file(), self._world.refused()
        [old] = self._run("secrets", "list", self._id)
        with Kirim(verify=self._world.trust) as kirim, Load(kirim) as load:
            until(lambda: load.published >= 20, "traffic")
            admin = ["--secrets-file", str(self._secrets), "--admin", self._admin, "--settle", "4"]
            rotated = self._run("rotate", self._id, *admin)
            during = load.published
            until(lambda: load.published >= during + 20, "traffic after the rotation")
        assert load.problem is None
        self._published += load.published
        [after] = self._in_file()
        assert (rotated["result"], rotated["added"]["fingerprint"]) == ("rotated", after.fingerprint)
        assert (rotated["removed"], rotated["dropped"]) == ([old["id"]], [before.fingerprint])
        until(lambda: self._deliveries(DeliveryStatus.SUCCEEDED) == load.published, "all delivered")
        assert self._deliveries(DeliveryStatus.FAILED, DeliveryStatus.DEAD) == 0
        assert self._world.refused() == refused

    def lose(self) -> None:
        """What is published in an outage dies; so does the replay of an event that the inbox holds."""
        [known] = self._run("deliveries", "list", "--subscription", self._id, "--limit", "1")
        self._world.stop_receiving()
        with Kirim(verify=self._world.trust) as kirim:
            for one in lost():
                kirim.events.publish_raw(one.body, source=one.source, type=one.type, event_id=one.event_id)
        self._published += len(lost())
        self._run("deliveries", "replay", known["id"])
        until(lambda: self._deliveries(DeliveryStatus.DEAD) == len(lost()) + 1, "dead letters")

    def heal(self) -> None:
        """What the inbox does not hold is replayed; what it holds is left alone."""
        looked = self._run("reconcile", self._id, "--dry-run")
        letters = {verdict: count for verdict, count in looked["letters"].items() if count}
        assert letters == {"missing": 2, "untellable": 3, "held": 1}
        self._world.receive()
        healed = self._run("reconcile", self._id)
        assert (healed["replayed"], healed["left"]) == (len(lost()), 0)
        assert self._run("reconcile", self._id)["replayed"] == 0
        until(lambda: self._deliveries(DeliveryStatus.PENDING, DeliveryStatus.FAILED) == 0, "replays end")

    def balance(self) -> None:
        """Both ends account for all that was published, and each event was handled once."""
        until(lambda: run("inbox", "stats")["states"]["done"] == self._published, "all handled")
        assert run("inbox", "stats")["states"] == {**self._states, "done": self._published}
        handled = self._world.handled()
        assert (len(handled), set(handled.values())) == (self._published, {1})
        ledger = run("sender", "ledger")
        [account] = ledger["subscriptions"]
        assert ledger["balances"] is True
        assert (account["originals"], account["open"], account["dead"]) == (self._published, 0, len(lost()))
        assert account["replays"] == len(lost()) + 1

    def end(self) -> list[Any]:
        """The subscriptions that are left."""
        assert self._run("subscriptions", "disable", self._id)["status"] == "disabled"
        assert self._run("subscriptions", "delete", self._id, "--yes") == {"id": self._id, "deleted": True}
        return list(self._run("subscriptions", "list"))

    def _run(self, *words: str) -> Any:
        return run(*words, *self._ca)

    def _in_file(self) -> tuple[Secret, ...]:
        return from_file(self._secrets.read_bytes(), ())

    def _deliveries(self, *statuses: DeliveryStatus) -> int:
        """How many stand there; test deliveries are none."""
        about = ["--subscription", self._id, "--all"]
        found = [self._run("deliveries", "list", *about, "--status", status.value) for status in statuses]
        return sum(one["kind"] != DeliveryKind.TEST for listed in found for one in listed)


def test_create_receive_rotate_lose_reconcile_balance(world: World) -> None:
    life = Life(world)
    life.subscribe()
    life.be_examined()
    life.rotate_under_load()
    life.lose()
    life.heal()
    life.balance()
    assert life.end() == []


def lost() -> list[Sample]:
    """Published during the outage: two events, and the three statuses of one message."""
    message = "wamid.HBgMNjI4MTIzNDU2Nzg5FQIAERgSQUJD"
    statuses = [another(samples.load(name), message) for name in STATUSES]
    return [*statuses, *(another(samples.load("message.received.text"), f"wamid.lost{n}") for n in range(2))]
