"""Processes tell of parked events and dead letters: each once, whichever of them saw it; and killed between telling and
forgetting, the same document again, and nothing is lost.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kirimhook import migrations
from kirimhook.backends import open_inbox
from kirimhook.receiver.telling import Notifier as ParkedNotifier
from kirimhook.sender.database import open_database
from kirimhook.sender.engine import Notifier
from kirimhook.sender.sealing import Sealer
from kirimhook.telling import LEASE
from kirimhook.testing.clock import Clock
from kirimhook.testing.endpoint import Respond
from tests.cli.conftest import places
from tests.cli.inboxes import KINDS, Places
from tests.sender.databases import Databases
from tests.serving.processes import Serving, post, serve
from tests.serving.senders import Sending, consumer
from tests.telling.ears import dying, listening

__all__ = ["places"]

APP = """
from kirimhook import Event, Hooks, Park

hooks = Hooks()


@hooks.on("contact.*")
async def contact(event: Event) -> Park:
    return Park("no such contact")


@hooks.on("conversation.*", attempts=1)
def conversation(event: Event) -> None:
    raise LookupError("gone")
"""


class Heard:
    """A teller in this process."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    async def tell(self, document: Any) -> None:
        self.told.append(json.loads(json.dumps(document)))


@pytest.mark.parametrize("kind", KINDS)
def test_parked_events_are_told_once_by_several_processes(kind: str, places: Places, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    url = places.made(kind, tmp_path)
    with listening() as ear:
        given = ("--workers", "2", "--inbox", url, "--notify", ear.url, "--notify-every", "0.5")
        with serve(tmp_path, *given) as served:
            for number in range(60):
                event = "contact.created" if number % 3 else "conversation.closed"
                assert post(served.url, f"evt_{number}", event)[0] == 200
                if number in {0, 30}:
                    ear.until(number + 1)
            ear.until(60)
            told = served.metric("kirimhook_notices_total", result="told")
            assert served.terminate() == 0
        with Serving(tmp_path, "work", "app:hooks", "--inbox", url, "--notify", ear.url) as worker:
            worker.logged("worker_started")
            assert worker.terminate() == 0
        ear.rest()
    assert told <= 60, "the last may not have been counted yet"
    gave_up = "gave up after attempt 1: LookupError: gone"
    assert ear.reasons == {"no such contact": 40, gave_up: 20}
    assert {document["source"] for document in ear.told} == {"receiver"}
    assert len({document["id"] for document in ear.told}) == len(ear.told) >= 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_receiver_killed_between_telling_and_forgetting(kind: str, places: Places, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    url = places.made(kind, tmp_path)
    with serve(tmp_path, "--inbox", url, "--notify", dying(tmp_path)) as served:
        assert post(served.url, "evt_1")[0] == 200
        assert served.wait() == -9
    (first,) = (tmp_path / "told").read_text().splitlines()

    async def main() -> list[int]:
        clock = Clock(time.time())
        inbox = open_inbox(url, clock=clock)
        await inbox.open()
        heard = Heard()
        try:
            other = ParkedNotifier(inbox, heard, clock=clock)
            counts = [await other.tell()]
            for _ in range(3):
                clock.advance(LEASE)
                counts.append(await other.tell())
        finally:
            await inbox.close()
        assert [document["id"] for document in heard.told] == [json.loads(first)["id"]]
        assert heard.told[0]["notices"] == json.loads(first)["notices"]
        return counts

    assert asyncio.run(main()) == [0, 1, 0, 0]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a sender, with its tables."""
    url = f"sqlite:///{tmp_path / 'sender.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    else:
        migrations.migrate(url, lambda _: None)
    return url


def arguments(database: str, tmp_path: Path) -> tuple[str, ...]:
    key = tmp_path / "master.key"
    if not key.exists():
        key.write_text(Sealer.new_key())
        key.chmod(0o600)
    return "--database", database, "--master-key-file", str(key)


def test_a_sender_killed_between_telling_and_forgetting(database: str, tmp_path: Path) -> None:
    given = (*arguments(database, tmp_path), "--notify", dying(tmp_path))
    with consumer(Respond(400)) as somebody, Sending(tmp_path, *somebody.trusting, *given) as sending:
        sending.subscribe(somebody.url)
        sending.publish("evt_1")
        assert sending.wait() == -9
    (first,) = (tmp_path / "told").read_text().splitlines()

    async def main() -> list[int]:
        clock, heard = Clock(time.time()), Heard()
        opened = open_database(database)
        await opened.open()
        try:
            other = Notifier(opened, heard, clock=clock)
            counts = [await other.tell()]
            for _ in range(3):
                clock.advance(LEASE)
                counts.append(await other.tell())
        finally:
            await opened.close()
        assert [document["id"] for document in heard.told] == [json.loads(first)["id"]]
        return counts

    assert asyncio.run(main()) == [0, 1, 0, 0]


def test_thousands_of_dead_letters_of_several_processes(database: str, tmp_path: Path) -> None:
    """Some were attempted, others dropped by an API process that attempts nothing. Few tellings, and each dead letter
    in one of them."""
    with listening() as ear, consumer(Respond(400)) as somebody:
        common = (*arguments(database, tmp_path), "--notify", ear.url, "--notify-every", "0.5")
        bounded = (*common, "--set", "held_bound=1500", "--set", "keep_interval=0.1", *somebody.trusting)
        with Sending(tmp_path, *bounded, "--api-only") as api, Sending(tmp_path, *bounded, "--workers", "2") as engine:
            subscription = api.subscribe(somebody.url)["id"]
            engine.started()
            for start in range(0, 2500, 100):
                api.publish(*[f"evt_{number}" for number in range(start, start + 100)])
            ear.until_reason("consecutive_failures")
            for start in range(2500, 3000, 100):
                api.publish(*[f"evt_{number}" for number in range(start, start + 100)])
            assert api.call("DELETE", f"/v1/webhook_subscriptions/{subscription}").status in {200, 204}
            ear.until(3001)
            assert (api.terminate(), engine.terminate()) == (0, 0)
        ear.rest()
    query = "SELECT dead_reason, count(*) FROM deliveries WHERE status = 'dead' GROUP BY dead_reason"
    died = Counter(dict(asyncio.run(Databases(database).rows(query))))
    assert sum(died.values()) == 3000
    assert ear.reasons - died == {"consecutive_failures": 1}, "the subscription, and what died"
    assert died - ear.reasons == {}
    assert died.keys() == {"rejected", "held_full", "subscription_deleted"}
    assert len(ear.told) < 60
    assert asyncio.run(Databases(database).rows("SELECT id FROM notices")) == [("turn",)]
