"""What a sending process says of itself: it tries its database, counts what is open, and says why it is not ready.
Housekeeping goes on round after round as long as there is something to do, whatever goes wrong meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Connection, text

from kirimhook import migrations
from kirimhook.admin.app import AdminApp
from kirimhook.admin.report import Usage
from kirimhook.observe import Meter
from kirimhook.sender.database import Database, open_database
from kirimhook.sender.sealing import Sealer
from kirimhook.sender.service import KirimEvent, Sender
from kirimhook.serving.options import Address
from kirimhook.serving.plan import Sockets
from kirimhook.serving.sending.keeping import Janitor
from kirimhook.serving.sending.options import SenderOptions
from kirimhook.serving.sending.plan import Sending, shown
from kirimhook.serving.sending.report import SenderFleet, SenderReport
from kirimhook.serving.sending.reporter import Reporter
from kirimhook.serving.sending.view import SenderView
from kirimhook.settings import SenderSettings
from kirimhook.testing.clock import Clock
from tests.receiver.deliveries import Log

SOON = 20.0


def report(**changed: Any) -> SenderReport:
    """A process that is well."""
    meter = Meter()
    meter.counter("kirimhook_sender_requests_total")["ok"] += 3
    meter.counter("kirimhook_requests_total")["fresh"] += 1  # a receiver's, which no sender counts
    usage = Usage(1.0, 50_000_000, 20)
    well = SenderReport(
        1, 1.8e9, None, usage, meter.snapshot(), serves=True, delivers=True, engine_failed=False, queue=7
    )
    return replace(well, **changed)


def page(asked: SenderFleet, path: str) -> tuple[int, bytes]:
    """What the admin port answers about this fleet."""
    sent: list[Any] = []

    async def give() -> SenderFleet:
        return asked

    async def receive() -> Any:
        raise AssertionError("the admin port reads no body")

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "method": "GET", "headers": []}
    asyncio.run(AdminApp(give, "1.2.3", SenderView())(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


def fleet(*reports: SenderReport, **more: Any) -> SenderFleet:
    return SenderFleet(1.8e9, 1.8e9 + 100, len(reports), reports, **more)


def test_a_report_survives_the_way_through_json() -> None:
    for sent in (report(), report(queue=None, storage_problem="locked")):
        assert SenderReport.from_json(json.loads(json.dumps(sent.to_json()))) == sent


@pytest.mark.parametrize(
    ("changed", "codes"),
    [({}, []), ({"engine_failed": True}, ["engine"]), ({"storage_problem": "disk_full"}, ["storage"])],
    ids=["well", "engine", "storage"],
)
def test_readiness_says_why_not(changed: dict[str, Any], codes: list[str]) -> None:
    status, body = page(fleet(report(), report(**changed)), "/readyz")
    found = json.loads(body)
    assert (status == 200) == found["ready"] == (not codes)
    assert [problem["code"] for problem in found["problems"]] == codes


def test_metrics_add_up_over_processes_but_for_the_queue_which_they_share() -> None:
    families = text_string_to_metric_families(page(fleet(report(), report()), "/metrics")[1].decode())
    found = {(one.name, one.labels.get("result")): one.value for family in families for one in family.samples}
    assert found["kirimhook_sender_requests_total", "ok"] == 6
    assert found["kirimhook_sender_open_deliveries", None] == 7
    assert not any(name.startswith("kirimhook_requests") for name, _ in found)


def test_a_queue_that_could_not_be_counted_is_absent_not_empty() -> None:
    assert b"kirimhook_sender_open_deliveries" not in page(fleet(report(queue=None)), "/metrics")[1]
    assert json.loads(page(fleet(report(queue=None), report()), "/status")[1])["open_deliveries"] == 7


def test_counters_of_a_process_that_ended_stay() -> None:
    ended = fleet().ended.plus_ended(report())
    status = json.loads(page(fleet(report(), ended=ended, restarts=1), "/status")[1])
    assert status["counters"]["kirimhook_sender_requests_total"]["ok"] == 6
    assert "kirimhook_requests_total" not in status["counters"]


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Database]:
    url = f"sqlite:///{folder}/sender.db"
    await asyncio.to_thread(migrations.migrate, url, _silent)
    database = open_database(url)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


def _silent(_: str) -> None: ...


async def sender_of(database: Database, clock: Callable[[], float], **settings: Any) -> tuple[Sender, str]:
    sender = Sender(database, SenderSettings(**settings), Sealer([Sealer.new_key()]), clock=clock)
    await sender.check_master_key()
    return sender, (await sender.create_organisation_key("acme")).organisation_id


def test_it_counts_what_is_open_and_sees_a_database_that_takes_no_writes(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as database:
            sender, organisation = await sender_of(database, Clock())
            await sender.tenant(organisation).create_subscription("https://hooks.example.com/a", ["contact.created"])
            await sender.publish(organisation, [KirimEvent("contact.created", {}) for _ in range(3)])
            well = await Reporter(database, Meter(), serves=True, delivers=False).report()
            assert (well.storage_problem, well.queue, well.serves, well.delivers) == (None, 3, True, False)
            with closing(sqlite3.connect(tmp_path / "sender.db", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                sick = await Reporter(database, Meter(), serves=True, delivers=False).report()
                assert sick.storage_problem is not None
                assert sick.queue is None
                other.execute("ROLLBACK")
            again = await Reporter(database, Meter(), serves=True, delivers=False).report()
            assert (again.storage_problem, again.queue) == (None, 3)

    asyncio.run(asyncio.wait_for(main(), SOON))


def count(connection: Connection) -> int:
    return int(connection.execute(text("SELECT count(*) FROM events")).scalar_one())


def test_housekeeping_does_not_rest_while_there_is_something_to_do(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as database:
            clock = Clock()
            sender, organisation = await sender_of(database, clock, keep_batch=1, retention=10.0)
            await sender.publish(organisation, [KirimEvent("contact.created", {}) for _ in range(5)])
            clock.advance(100)
            meter = Meter()
            janitor = Janitor(sender, 3600.0, Log().observer, meter)  # so that one rest would be the end of this test
            janitor.start()
            while meter.counter("kirimhook_sender_kept_total")["events"] < 5:
                await database.read(count)
            await janitor.stop()
            assert await database.read(count) == 0

    asyncio.run(asyncio.wait_for(main(), SOON))


def test_housekeeping_tells_of_what_expired(tmp_path: Path) -> None:
    log = Log()

    async def main() -> None:
        async with opened(tmp_path) as database:
            clock = Clock()
            sender, organisation = await sender_of(database, clock, retention=10.0)
            await sender.tenant(organisation).create_subscription("https://hooks.example.com/a", ["contact.created"])
            await sender.publish(organisation, [KirimEvent("contact.created", {}) for _ in range(2)])
            clock.advance(100)
            janitor = Janitor(sender, 3600.0, log.observer, Meter())
            janitor.start()
            await log.seen("deliveries_expired", 1)
            await janitor.stop()

    asyncio.run(asyncio.wait_for(main(), SOON))
    assert [line["deliveries"] for line in log.named("deliveries_expired")] == [2]


def test_housekeeping_goes_on_after_a_failure(tmp_path: Path) -> None:
    log = Log()

    async def main() -> None:
        async with opened(tmp_path) as database:
            sender, _ = await sender_of(database, Clock())
            await database.close()
            janitor = Janitor(sender, 0.001, log.observer, Meter())
            janitor.start()
            await log.seen("keeping_failed", 3)
            await janitor.stop()

    asyncio.run(asyncio.wait_for(main(), SOON))
    assert "closed" in log.named("keeping_failed")[0]["reason"]


@pytest.mark.parametrize(("host", "hinted"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_plain_http_is_hinted_at_where_others_can_listen_in(host: str, hinted: bool) -> None:
    log, plan = Log(), Sending(SenderOptions("sqlite:///sender.db", listen=Address(host, 0), engine=False))
    with socket.create_server((host, 0)) as bound:
        plan.tell_started(log.observer, Sockets(bound, None), None)
    [started] = log.named("sender_started")
    assert ("plain HTTP" in started.get("hint", "")) == hinted


def test_what_is_shown_of_a_database_can_be_used_and_has_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown("sqlite:///sender.db") == f"sqlite:///{tmp_path}/sender.db"
    assert shown("postgresql://kirim:hush@db:5433/kirim") == "postgresql://kirim:***@db:5433/kirim"
