"""What an engine says of its troubles: an outage begins and ends with a line each, a secret that cannot be opened and
a notice that nobody took have one, and a success has one only where debug is asked for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pytest

from kirimhook.observe import Meter, Observer
from kirimhook.sender.database import StorageUnavailable
from kirimhook.sender.engine import Notifier
from kirimhook.sender.engine.telemetry import Telemetry
from kirimhook.sender.store import notices
from kirimhook.sender.store.notices import Died
from kirimhook.testing.endpoint import Endpoint, Respond
from tests.sender.databases import Databases
from tests.sender.engines import running, settings_for, stage

SOON = 20.0


class Lines(logging.Handler):
    """Log events, with their fields."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.seen: list[dict[str, Any]] = []

        self._news = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(record.kirimhook)  # type: ignore[attr-defined]  # what the observer adds to a record
        self._news.set()

    async def told(self, event: str, times: int) -> None:
        while len(self.named(event)) < times:
            self._news.clear()
            await self._news.wait()

    def named(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.seen if line["event"] == event]


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def observer(lines: Lines) -> Iterator[Observer]:
    logger = logging.getLogger("telling")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(lines)
    yield Observer(logger)
    logger.removeHandler(lines)


@pytest.mark.parametrize("error", [StorageUnavailable("locked"), ZeroDivisionError("a defect")], ids=repr)
def test_an_outage_begins_and_ends_with_a_line(error: Exception, lines: Lines, observer: Observer) -> None:
    telemetry = Telemetry(observer, Meter())
    telemetry.outage(error)
    telemetry.outage(None)
    telemetry.outage(None)
    [halted] = lines.named("engine_halted")
    first, second = lines.named("engine_resumed")
    assert str(error) in halted["reason"]
    assert first["seconds"] >= 0
    assert "seconds" not in second


def test_what_could_not_be_read_anew_is_told(lines: Lines, observer: Observer) -> None:
    Telemetry(observer, Meter()).stale(StorageUnavailable("locked"))
    [line] = lines.named("endpoints_stale")
    assert "locked" in line["reason"]


def test_a_success_is_told_where_debug_is_asked_for(databases: Databases, lines: Lines, observer: Observer) -> None:
    async def main() -> None:
        async with stage(databases) as set_up, Endpoint(Respond()) as endpoint:
            [delivery] = await set_up.publish(await set_up.subscribe(endpoint.url))
            async with running(set_up, settings_for(endpoint.ca), observer=observer) as engine:
                await engine.idle()
            [line] = lines.named("attempt_succeeded")
            assert (line["delivery_id"], line["status"], line["address"]) == (delivery, 200, "127.0.0.1")

    asyncio.run(asyncio.wait_for(main(), SOON))


def test_a_secret_that_cannot_be_opened_is_told_once(databases: Databases, lines: Lines, observer: Observer) -> None:
    async def main() -> None:
        async with stage(databases) as set_up, Endpoint(Respond()) as endpoint:
            subscription = await set_up.subscribe(endpoint.url)
            await set_up.change("UPDATE secrets SET sealed = :sealed", sealed=b"of another master key")
            await set_up.publish(subscription, 3)
            async with running(set_up, settings_for(endpoint.ca), observer=observer) as engine:
                await engine.idle()
            assert endpoint.requests == []
            [line] = lines.named("endpoint_unusable")
            assert line["subscription_id"] == subscription
            assert set((await set_up.states()).values()) == {"pending"}

    asyncio.run(asyncio.wait_for(main(), SOON))


def test_a_notifier_outlives_an_outage(databases: Databases, lines: Lines, observer: Observer) -> None:
    """One line for the outage, and what happened is told when it is over."""

    async def main() -> None:
        async with databases.opened() as database:
            heard = asyncio.Event()

            class Ear:
                async def tell(self, document: Mapping[str, Any]) -> None:
                    heard.set()

            died = [Died("wbd_1", "wbs_1", "rejected")]
            await database.write(partial(notices.add_dead, died=died, at=1))
            await database.close()
            notifier = Notifier(database, Ear(), poll=0.001, observer=observer)
            task = asyncio.create_task(notifier.run())
            await lines.told("notices_not_read", 1)
            await database.open()
            await heard.wait()
            task.cancel()
            await asyncio.wait({task})
            assert len(lines.named("notices_not_read")) == 1

    asyncio.run(asyncio.wait_for(main(), SOON))
